#!/usr/bin/env python3
"""Writes a file as a C array, to be compiled in: embed.py FILE HEADER NAME"""
import sys

source, header, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
with open(header, "w", encoding="ascii") as file:
    file.write(f"static const unsigned char {name}[] = {{\n")
    for at in range(0, len(data), 20):
        file.write(",".join(str(byte) for byte in data[at:at + 20]) + ",\n")
    file.write("};\n")
