"""What the cells of colab.ipynb do."""
