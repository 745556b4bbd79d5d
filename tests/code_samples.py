"""A small source in each of sixteen languages, and the definitions in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

STATEMENTS = {
    **dict.fromkeys(("python", "ruby"), "value{n} = compute(value{n}, {n})"),
    **dict.fromkeys(("kotlin", "scala"), "val value{n} = compute({n}, {n})"),
    **dict.fromkeys(("c", "cpp", "csharp", "java"), "int value{n} = compute({n}, {n});"),
    "lua": "local value{n} = compute(value{n}, {n})",
    "bash": 'echo "value{n}" "{n}"',
    "go": "value{n} := compute({n}, {n})",
    "swift": "let value{n} = compute({n}, {n})",
    "rust": "let value{n} = compute({n}, {n});",
    "php": "$value{n} = compute({n}, {n});",
}
# BODY stands for twelve statements. Every source has a container with two members, each with a comment, and a
# definition beside it; what is expected is the path of the chunks that hold the words "needle1" and so on.
SOURCES: dict[str, tuple[str, Sequence[tuple[str, ...]]]] = {
    "python": (
        """
        import os
        @registered
        class Store(Base):
            # About needle1.
            @property
            def load(self, path: str = "x") -> int:
                BODY
            async def save(self, *, needle2):
                BODY
        def main(needle3):
            BODY
        print "not Python 3"
        """,
        [
            ("class Store(Base)", 'def load(self, path: str = "x") -> int'),
            ("class Store(Base)", "async def save(self, *, needle2)"),
            ("def main(needle3)",),
        ],
    ),
    "javascript": (
        """
        export default class Store extends Base {
          // About needle1.
          @observed
          async load(path) {
            BODY
          }
          save = (needle2) => {
            BODY
          };
        }
        describe("store", () => {
          it("needle3", async () => {
            BODY
          });
        });
        const handler = async (needle4) => {
          BODY
        };
        """,
        [
            ("export default class Store extends Base", "async load(path)"),
            ("export default class Store extends Base", "save = (needle2)"),
            ('describe("store")', 'it("needle3")'),
            ("const handler = async (needle4)",),
        ],
    ),
    "typescript": (
        """
        import { X } from "./x";
        export abstract class Store<T> {
          /** About needle1. */
          @Input({ a: 1 })
          public async load(path: string): Promise<void> {
            BODY
          }
          constructor(private readonly needle2: string) {
            BODY
          }
        }
        namespace Tools {
          export function needle3<T>(a: T): a is T {
            BODY
          }
        }
        """,
        [
            ("export abstract class Store<T>", "public async load(path: string): Promise<void>"),
            ("export abstract class Store<T>", "constructor(private readonly needle2: string)"),
            ("namespace Tools", "export function needle3<T>(a: T): a is T"),
        ],
    ),
    "java": (
        """
        package demo;
        /** A store. */
        @Deprecated
        public class Store<T> {
            // About needle1.
            @Override
            @SuppressWarnings("x")
            public int load(String path) throws IOException {
                BODY
            }
            public Store(int needle2) {
                BODY
            }
        }
        """,
        [
            ("public class Store<T>", "public int load(String path) throws IOException"),
            ("public class Store<T>", "public Store(int needle2)"),
        ],
    ),
    "go": (
        """
        package store
        // Server is about needle1.
        type Server struct {
        \tAddr string
        }
        // Close is about needle2.
        func (s *Server) Close(ctx context.Context) (err error) {
        \tBODY
        }
        var handle = func(needle3 int) int {
        \tBODY
        \treturn needle3
        }
        """,
        [
            ("type Server struct",),
            ("func (s *Server) Close(ctx context.Context) (err error)",),
            ("var handle = func(needle3 int) int",),
        ],
    ),
    "rust": (
        """
        use std::fmt;
        impl<'a> fmt::Display for Store<'a> {
            /// About needle1.
            #[inline]
            fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
                BODY
            }
        }
        pub(crate) async fn run<'a>(needle2: &'a str) -> Result<()> where T: X {
            BODY
        }
        """,
        [
            ("impl<'a> fmt::Display for Store<'a>", "fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result"),
            ("pub(crate) async fn run<'a>(needle2: &'a str) -> Result<()> where T: X",),
        ],
    ),
    "c": (
        """
        #include <stdio.h>
        /* About needle1. */
        static int
        read_all(int fd,
                 char *out)
        {
            BODY
        }
        #ifdef DEBUG
        int dump(int needle2)
        {
            BODY
        }
        #endif
        """,
        [("static int read_all(int fd, char *out)",), ("int dump(int needle2)",)],
    ),
    "cpp": (
        """
        namespace store {
        /// A store.
        template <typename T>
        class Store : public Base<T> {
        public:
            Store(int needle1) : needle1_(needle1) {
                BODY
            }
            // About needle2.
            int get() const override {
                BODY
            }
        };
        int Store<int>::other(int needle3) noexcept
        {
            BODY
        }
        }
        """,
        [
            ("namespace store", "template <typename T> class Store : public Base<T>", "Store(int needle1)"),
            (
                "namespace store",
                "template <typename T> class Store : public Base<T>",
                "int get() const override",
            ),
            ("namespace store", "int Store<int>::other(int needle3) noexcept"),
        ],
    ),
    "csharp": (
        """
        using System;
        namespace Company.Product
        {
            [Serializable]
            sealed class Store<T> : Base
            {
                /// <summary>About needle1.</summary>
                [Test]
                public async Task<int> LoadAsync(string path)
                {
                    BODY
                }
                public Store(int needle2) : base(needle2)
                {
                    BODY
                }
            }
        }
        """,
        [
            (
                "namespace Company.Product",
                "sealed class Store<T> : Base",
                "public async Task<int> LoadAsync(string path)",
            ),
            ("namespace Company.Product", "sealed class Store<T> : Base", "public Store(int needle2)"),
        ],
    ),
    "ruby": (
        """
        require "x"
        module Tools
          # A store.
          class Store < Base
            attr_reader :x
            # About needle1.
            def load(path, limit = 1)
              BODY
            end
            def self.open(needle2)
              BODY
            end
          end
        end
        """,
        [
            ("module Tools", "class Store < Base", "def load(path, limit = 1)"),
            ("module Tools", "class Store < Base", "def self.open(needle2)"),
        ],
    ),
    "php": (
        """
        <?php
        namespace App;
        /** A store. */
        #[Entity]
        final class Store extends Base
        {
            /** About needle1. */
            public function load(string $path): ?string
            {
                BODY
            }
        }
        function main($needle2)
        {
            BODY
        }
        """,
        [
            ("final class Store extends Base", "public function load(string $path): ?string"),
            ("function main($needle2)",),
        ],
    ),
    "kotlin": (
        """
        package store
        @Serializable
        data class Store(val x: Int) : Base() {
            // About needle1.
            @Test
            override fun load(path: String): Int {
                BODY
            }
            companion object {
                fun open(needle2: String) {
                    BODY
                }
            }
        }
        fun String.shout(needle3: Int): String {
            BODY
        }
        """,
        [
            ("data class Store(val x: Int) : Base()", "override fun load(path: String): Int"),
            ("data class Store(val x: Int) : Base()", "companion object", "fun open(needle2: String)"),
            ("fun String.shout(needle3: Int): String",),
        ],
    ),
    "swift": (
        """
        import Foundation
        @objc
        public final class Store: Base {
            // About needle1.
            @discardableResult
            func load(_ path: String) throws -> Int {
                BODY
            }
            init(needle2: Int) {
                BODY
            }
        }
        extension Store {
            func needle3() {
                BODY
            }
        }
        """,
        [
            ("public final class Store: Base", "func load(_ path: String) throws -> Int"),
            ("public final class Store: Base", "init(needle2: Int)"),
            ("extension Store", "func needle3()"),
        ],
    ),
    "scala": (
        """
        package store
        case class Store(x: Int) extends Base {
          // About needle1.
          @tailrec
          override def load(path: String): Int = {
            BODY
          }
        }
        object Store {
          def open(needle2: Int): Unit =
            BODY
        }
        """,
        [
            ("case class Store(x: Int) extends Base", "override def load(path: String): Int"),
            ("object Store", "def open(needle2: Int): Unit"),
        ],
    ),
    "bash": (
        """
        #!/bin/bash
        set -e
        # About needle1.
        deploy() {
          BODY
        }
        function needle2 {
          BODY
        }
        """,
        [("deploy()",), ("function needle2",)],
    ),
    "lua": (
        """
        local M = {}
        --- About needle1.
        function M.load(path, limit)
          BODY
        end
        M.save = function(needle2)
          BODY
        end
        return M
        """,
        [("function M.load(path, limit)",), ("M.save = function(needle2)",)],
    ),
}


def source_of(language: str) -> str:
    lines = []
    statement = STATEMENTS.get(language, "call(value{n}, {n});")
    for line in textwrap.dedent(SOURCES[language][0]).strip("\n").replace("\\t", "\t").split("\n"):
        if line.strip() == "BODY":
            lines += [line.replace("BODY", statement.format(n=n)) for n in range(12)]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"
