"""Code that gives the same results as earlier code, though it is written otherwise: what that made stays.

`SAME_RESULTS` says of the digest of a stage's code under which earlier digest its results go on being known. An entry
holds for just that code: after any further change of it the stage runs again, and the entry is to be deleted. Before
one is added, the same inputs have been run by both, and every result was the same to the bit.
"""

# fmt: off
SAME_RESULTS = {
    # as before modules had folders, and digests of code were a tree; the demo's 943 files were compared. A corpus that
    # leaves something out has other words for it in counts.json, which are told alike
    # extract.corpus.corpus
    "2cce3f3bc3a3d037114c12bef1eff2ed141d0dc5cab50ef4595d34addcb84e73":
        "675a989e9b3c8f1b2cf5b7595d0f3d8c576547deb5144aef5d7bfa4d613c6a91",
    # extract.toy.clip
    "41a947ea4c1e2f8d5b0bbfdef1eb0dce32f8e944117403fe31ca6214bc11acfc":
        "b42a4269b9a8ab3415e286d6408dd15975c270bfbd8e13399deeefefd5701ae2",
    # model.scores.references
    "625617bf0a9ea76e6a81f0f648ec4b116efb32f3429b181096d6ee4746ff5351":
        "93cd3cf6b8634065c4d042404106b2295cd00f015f555d22f55b06d766c03e05",
    # model.vocabulary
    "24b75160b9857c396f1234b870dce93f51dd065e9fd8105a5caa618ae8a89f7c":
        "2352f015c31b1dd290052181adfd0018b417b989b4eaeb9c0c4cbb4d03ab2a77",
}
# fmt: on
