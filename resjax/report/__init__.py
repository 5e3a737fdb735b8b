"""Tables, sentences, figures and HTML pages of comparisons, made from their records alone."""
