"""What can be told of a study: before it spends anything, and after."""
