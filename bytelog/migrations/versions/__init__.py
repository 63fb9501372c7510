"""One file per revision, named by its number and its purpose."""
