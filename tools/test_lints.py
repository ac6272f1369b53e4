# SPDX-License-Identifier: Apache-2.0
"""The lints fail on what they are for, and stay silent on what is right."""
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TOOLS = pathlib.Path(__file__).resolve().parent


def load(name: str):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(TOOLS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


layers, size, banned, text = load("lint-layers"), load("lint-size"), load("lint-banned"), load("lint-text")


class Tree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name: str, content: str) -> str:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return str(path)


class Layers(Tree):
    def problems(self, files: dict, order: str = "'base', 'io', 'pki', 'net', 'kube', 'api', 'cmd'") -> list[str]:
        self.write("src/meson.build", f"foreach room : [{order}]\nendforeach\n")
        for name, content in files.items():
            self.write(f"src/{name}", content)
        return layers.check(self.root)

    def test_down_and_own_room_are_fine(self):
        self.assertEqual([], self.problems({"kube/a.c": '#include <stdio.h>\n#include "base/error.h"\n#include "kube/a.h"\n'}))

    def test_climbing(self):
        self.assertRegex(self.problems({"base/a.c": '#include "kube/a.h"\n'})[0], r"src/base/a.c:1: .* climbs from floor 0 to floor 3")

    def test_sideways(self):
        self.assertRegex(self.problems({"pki/a.h": '\n#include "net/a.h"\n'})[0], r"src/pki/a.h:2: .* sideways")

    def test_relative_paths_cannot_hide_a_climb(self):
        self.assertEqual(2, len(self.problems({"base/a.c": '#include "../kube/a.h"\n#include "error.h"\n'})))

    def test_unknown_rooms(self):
        self.assertEqual(2, len(self.problems({"attic/a.c": "", "base/a.c": '#include "attic/a.h"\n'})))

    def test_libraries_stay_in_their_room(self):
        files = {"kube/a.c": "#include <openssl/ssl.h>\n", "net/a.c": "#include <openssl/ssl.h>\n#include <nghttp2/nghttp2.h>\n",
                 "pki/a.c": "#include <openssl/evp.h>\n", "base/a.c": "# include <openssl/crypto.h>\n",
                 "pki/b.c": "#include <openssl/ssl.h>\n", "api/a.c": "#include <yaml.h>\n"}
        found = self.problems(files)
        self.assertEqual(4, len(found), found)

    def test_order_of_the_build(self):
        self.assertEqual(1, len(self.problems({}, order="'kube', 'base'")))

    def test_a_room_that_is_not_built(self):
        self.assertEqual(1, len(self.problems({"local/meson.build": ""})))


class Size(Tree):
    def test_file(self):
        self.assertEqual([], size.check(self.write("a.h", "\n" * 800)))
        self.assertEqual(1, len(size.check(self.write("b.h", "\n" * 801))))

    def test_function(self):
        self.assertEqual([], size.check(self.write("a.c", "int f(void)\n{\n" + "\t;\n" * 99 + "}\n")))
        found = size.check(self.write("b.c", "int f(void)\n{\n" + "\t;\n" * 100 + "}\n"))
        self.assertRegex(found[0], r"f\(\) has 101 lines")


class Banned(Tree):
    def test_calls(self):
        for call in ("strcpy(a, b)", "sprintf (a, b)", "strtok(a, b)", "x = atoi(b)", "system(a)", "popen(a, b)", "alloca(3)",
                     "localtime(a)", "sscanf(a, b)", "rand()"):
            self.assertEqual(1, len(banned.check(self.write("a.c", f"\t{call};\n"))), call)

    def test_lookalikes(self):
        fine = '/* strcpy(a, b) */\nconst char *t = "system(x)"; // gets(x)\nmy_strcpy(a); o->signal(1); s.system(2); pre_rand();\n'
        self.assertEqual([], banned.check(self.write("a.c", fine)))

    def test_line_numbers_survive_comments(self):
        self.assertRegex(banned.check(self.write("a.c", "/*\n\n*/\ngets(a);\n"))[0], r"a.c:4: gets")

    def test_wrappers_may_do_what_others_may_not(self):
        self.assertEqual(1, len(banned.check(self.write("src/kube/a.c", "strtol(a, NULL, 10);\n"))))
        self.assertEqual([], banned.check(self.write("src/kube/a.c", "strtol(a, &end, 10);\nf(NULL);\n")))
        self.assertEqual(1, len(banned.check(self.write("src/kube/b.c", "pthread_create(a);\n"))))
        self.assertEqual([], banned.check(self.write("src/io/thread.c", "pthread_create(a);\n")))
        self.assertEqual(1, len(banned.check(self.write("src/kube/c.c", "time(NULL);\n"))))
        self.assertEqual(1, len(banned.check(self.write("src/kube/d.c", "signal(1, f);\n"))))
        self.assertEqual([], banned.check(self.write("src/io/signals.c", "signal(1, f);\n")))


class Text(Tree):
    head = "# SPDX-License-Identifier: Apache-2.0\n"

    def test_licence(self):
        self.assertEqual(1, len(text.check(self.write("a.py", "pass\n"))))
        self.assertEqual(1, len(text.check(self.write("run", "#!/bin/sh\n"))))
        self.assertEqual([], text.check(self.write("b.py", self.head)))
        self.assertEqual([], text.check(self.write("notes.md", "words\n")))

    def test_forbidden(self):
        for word in ("/wor" + "k/main", "/tm" + "p/team", "/hom" + "e/alice/x", "TO" + "DO", "end ", "<" * 7 + " a", "\u202e",
                     "-----BEGIN EC PRIVATE KE" + "Y-----\n" + "M" * 44):
            self.assertEqual(1, len(text.check(self.write("a.md", f"words\n{word}\n"))), word)

    def test_corpus_is_left_alone(self):
        self.assertEqual([], text.check(self.write("test/fuzz/corpus/json/1", "TO" + "DO ")))

    def test_final_newline(self):
        self.assertEqual(1, len(text.check(self.write("a.md", "words"))))


class Self(unittest.TestCase):
    def test_the_lints_obey_themselves(self):
        paths = [str(path) for path in TOOLS.iterdir() if path.is_file()]
        os.chdir(TOOLS.parent)
        self.assertEqual([], [problem for path in paths for problem in text.check(path)])


if __name__ == "__main__":
    unittest.main()
