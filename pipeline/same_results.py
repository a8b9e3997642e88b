"""Code that gives the same results as earlier code, though it is written otherwise: what that made stays.

`SAME_RESULTS` says of the digest of a stage's code under which earlier digest its results go on being known. An entry
holds for just that code: after any further change of it the stage runs again. Before one is added, the same inputs
have been run by both, and every result was the same to the bit (but for a report's page).
"""

# fmt: off
SAME_RESULTS = {
    # of the digests before those of modules were a tree
    # extract.corpus
    "af4d20108e8d889765df5a845d47946660895b4dfc742c85b4aa89b1ce2b7cd2":
        "675a989e9b3c8f1b2cf5b7595d0f3d8c576547deb5144aef5d7bfa4d613c6a91",
    # extract.extraction
    "11b917369fb90b55214847aad1c1b1f7443bda47ca7a19439d1e8037ea0d36d7":
        "65de034fc81ea1fa0f4fc38dd077751ba35c5277e872d50b3d579a3e52eaa787",
    # extract.toyclip
    "26a3f4a2c32a48d0500ecd19eb63d122a282f39964b718df94e49e7f9116ff38":
        "b42a4269b9a8ab3415e286d6408dd15975c270bfbd8e13399deeefefd5701ae2",
    # extract.toyworld
    "261368912fc8f1b1e68b2d5864aabe0832dfda30ccc2aeb0d9a43bb0c310dc9a":
        "8ad3273ed41d8bc39ec3902181f56be94ac49515f915281949492a893c9799fa",
    # model.captioning
    "73fb1a8b133e9dbde35bf3a35743942e63b9f3d5e000f00d328d152e00f78206":
        "bb0f09240a2c10934ef9e49678c1c0077376c67227f80b1ae05d7acfd2f17aa0",
    # model.evaluation
    "cb4a6274f3763dd576821561d15cb5c04838361f784933d9f1232307d8b8170e":
        "bfee2f647b2c8c8c091ec3c01eb4a70bfdc11a8380e493550a62cf631c8dec7d",
    # model.fitting
    "b54c5e3dba5f88a20baa084db3fcc61873a5185a0c88a2cf127baf2715c0d6c9":
        "6481410f008ae4a2d9fadb1b8c2860d5a39b93e87e6b5ae2cabdf6b520cd3f54",
    # model.references
    "85ac168401e1a8db0d0fc2da8f42f3b14ecf32b2388dc76f6aa52329c034e7ea":
        "93cd3cf6b8634065c4d042404106b2295cd00f015f555d22f55b06d766c03e05",
    # model.report
    "583918ca79f6267576c5ee54f81fb4799ec92b6c238906993fed609c19b5d700":
        "faf9a3bd1112141d6bd15a31348f505e8b8264aa39c6ac5f60f1a7960c54bc17",
    # model.vocabulary
    "7eb8bb226d98a7cde298ab0eadc9bd1fdcbc4b110ec2cc0d58e22ef602410e8d":
        "2352f015c31b1dd290052181adfd0018b417b989b4eaeb9c0c4cbb4d03ab2a77",
}
# fmt: on
