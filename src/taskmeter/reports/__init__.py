"""Analysis of finished tasks, each report one file. Pure: rows in, result objects out; `render` makes text of them."""
