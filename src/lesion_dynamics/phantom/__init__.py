"""The embedded synthetic cohort with known truth: anatomy, disease course, scanner, BIDS.

Nothing is downloaded: the anatomy comes from the MNI152 maps inside nilearn.
"""
