"""The words of the command line, one file each.

Each has SUMMARY and EXAMPLE for its help, ``add_arguments(parser)``, and ``run(args, command)``,
where ``command`` is the whole line as it was typed. What takes long to import is imported by
``run``: help and mistakes in the arguments answer at once, and NumPy reads the number of threads
when it is loaded.
"""
