"""The comparison of two published bundles on the same homes, as a person asks for it (`homeprices compare`)."""
