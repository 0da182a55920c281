"""Laws by asking the teacher: take the function apart, solve the pieces, put them together."""
