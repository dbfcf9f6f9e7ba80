"""What items are, as an aid to recommending them: runs on movielens-1m with plots, names, genres and posters."""
