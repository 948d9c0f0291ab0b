"""From links that die after seven days to verified pictures in a folder, with a manifest written last."""
