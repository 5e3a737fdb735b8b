"""What the cells of colab.ipynb do.

The notebook never imports JAX: a TPU belongs to one process, and a package that was replaced after its import would
need a restart. pip runs without `-U`; the extra is chosen by what the runtime has. Only results lie on the drive,
because a mounted drive is slow at many small reads. A report is shown as the `srcdoc` of a frame, because neither
service lets the browser read files by path. Read and not tried there: Colab and Kaggle have TPU VMs
(googlecolab/colabtools#4481); Colab's GPU image has a JAX older than we need, and JAX ignores a plugin of another
version and computes on the CPU.
"""
