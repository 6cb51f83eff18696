"""What a person begins with who brings a database of their own. In: its address, and what the person says about it.
Out: a project's folder, and declarations that are valid as they are and say what in them is a guess."""
