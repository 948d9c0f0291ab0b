"""From links that die after seven days to verified images in a folder, with a manifest written last."""
