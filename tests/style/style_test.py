#!/usr/bin/env python3
"""Each check of style.py finds what it is for, and says nothing of what is right."""
import unittest

import style

HEADER = ["/* x: what. */", "#ifndef SLUICE_NET_X_H", "#define SLUICE_NET_X_H", "", "#endif", ""]


def tree(**files):
    """A tree of files; in the names __ stands for / and _dot_ for a dot."""
    made = style.Tree.__new__(style.Tree)
    made.files = {
        name.replace("__", "/").replace("_dot_", "."): lines for name, lines in files.items()
    }
    return made


class Checks(unittest.TestCase):
    def finds(self, check, count, **files):
        found = list(check(tree(**files)))
        self.assertEqual(len(found), count, found)

    def test_an_include_to_the_right_is_found(self):
        header = {"include__sluice__pool__pool_dot_h": HEADER}
        line = '#include "sluice/pool/pool.h"'
        self.finds(style.check_dependency, 1, src__net__x_dot_c=[line], **header)
        self.finds(style.check_dependency, 0, src__proxy__x_dot_c=[line], **header)

    def test_a_private_header_of_another_folder_is_found(self):
        header = {"src__net__x_dot_h": HEADER}
        for name in ("net/x.h", "x.h"):
            lines = [f'#include "{name}"']
            self.finds(style.check_dependency, 0, src__net__y_dot_c=lines, **header)
            self.finds(style.check_dependency, 1, src__pool__y_dot_c=lines, **header)

    def test_a_folder_outside_the_layout_is_found(self):
        self.finds(style.check_dependency, 1, src__util__x_dot_c=[""])

    def test_an_unknown_library_and_assert_are_found(self):
        lines = ["#include <zlib.h>", "#include <assert.h>"]
        self.finds(style.check_libraries, 2, src__net__x_dot_c=lines)
        self.finds(style.check_libraries, 0, src__net__x_dot_c=["#include <sys/socket.h>"])

    def test_a_library_in_too_many_files_is_found(self):
        files = {f"src__conf__{name}_dot_c": ["#include <ini.h>"] for name in "ab"}
        self.finds(style.check_libraries, 1, **files)
        self.finds(style.check_libraries, 0, src__conf__a_dot_c=["#include <ini.h>"])

    def test_a_header_without_comment_or_guard_is_found(self):
        self.finds(style.check_headers, 0, include__sluice__net__x_dot_h=HEADER)
        self.finds(style.check_headers, 1, include__sluice__net__x_dot_h=HEADER[1:])
        self.finds(style.check_headers, 1, include__sluice__net__y_dot_h=HEADER)

    def test_layout_is_checked(self):
        self.finds(style.check_layout, 3, src__net__x_dot_c=["\tint x;", "x ", "y" * 101, ""])
        self.finds(style.check_layout, 1, src__net__x_dot_c=["int x;"])
        self.finds(style.check_layout, 0, dev=["#!/bin/sh", "cat <<-END", "\ttext", "\tEND", ""])

    def test_long_files_and_functions_are_found(self):
        self.finds(style.check_length, 0, src__net__x_dot_c=["x"] * 600 + [""])
        self.finds(style.check_length, 1, src__net__x_dot_c=["x"] * 601 + [""])
        body = ["int f(void)", "{"] + ["    x;"] * 70 + ["}", ""]
        self.finds(style.check_length, 0, src__net__x_dot_c=body)
        self.finds(style.check_length, 1, src__net__x_dot_c=body[:2] + ["    x;"] + body[2:])

    def test_a_file_that_is_not_built_is_found(self):
        build = {"src__net__meson_dot_build": ["sources += files('x.c')"]}
        self.finds(style.check_built, 0, src__net__x_dot_c=[""], **build)
        self.finds(style.check_built, 1, src__net__y_dot_c=[""], **build)

    def test_unfinished_work_is_found(self):
        self.finds(style.check_finished, 1, src__net__x_dot_c=["/* TO" "DO: more */"])

    def test_a_path_of_a_machine_is_found(self):
        self.finds(style.check_machine, 1, conf__x_dot_ini=["logfile = /hom" "e/eve/log"])

    def test_typedefs_are_for_functions(self):
        lines = ["typedef struct pool pool_t;", "typedef void (*done_fn)(int);"]
        self.finds(style.check_typedefs, 1, src__net__x_dot_c=lines)

    def test_unbounded_calls_are_found(self):
        lines = ["sprintf(to, from);", "snprintf(to, 1, from);"]
        self.finds(style.check_unsafe, 1, src__net__x_dot_c=lines)

    def test_sleep_is_found(self):
        lines = ["usle" "ep(10);", "sle" "ep 1", "pg_sleep(1)"]
        self.finds(style.check_sleep, 2, tests__x_dot_c=lines)


if __name__ == "__main__":
    unittest.main()
