"""The journal of the online service: what each record says, and how records lie one after another in a file.

Nothing is imported here, so that a process which only writes or only reads records imports msgspec and nothing else.
"""
