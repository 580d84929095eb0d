#!/usr/bin/env python3
"""Writes a file as a C array with its length, to be compiled in: embed.py FILE OUTPUT.c NAME"""
import sys

source, output, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
with open(output, "w", encoding="ascii") as file:
    file.write(f"const unsigned char {name}[] = {{\n")
    for at in range(0, len(data), 20):
        file.write(",".join(str(byte) for byte in data[at:at + 20]) + ",\n")
    file.write(f"}};\nconst unsigned long {name}_bytes = sizeof({name});\n")
