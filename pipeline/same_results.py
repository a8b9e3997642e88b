"""Code that gives the same results as earlier code, though it is written otherwise: what that made stays.

`SAME_RESULTS` says of the digest of a stage's code under which earlier digest its results go on being known. An entry
holds for just that code: after any further change of it the stage runs again, and the entry is to be deleted. Before
one is added, the same inputs have been run by both, and every result was the same to the bit.
"""

# fmt: off
SAME_RESULTS = {
    # as before modules had folders, and digests of code were a tree; the demo's 943 files were compared. A corpus that
    # leaves something out has other words for it in counts.json, which are told alike
    # model.scores.references
    "625617bf0a9ea76e6a81f0f648ec4b116efb32f3429b181096d6ee4746ff5351":
        "93cd3cf6b8634065c4d042404106b2295cd00f015f555d22f55b06d766c03e05",
}
# fmt: on
