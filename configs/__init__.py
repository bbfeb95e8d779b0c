"""One experiment a file; `common` has what they share. Installed: tfmusic.configs."""
