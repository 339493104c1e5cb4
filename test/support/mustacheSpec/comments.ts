import type { SpecCase } from "./specCase.ts";

/** From github.com/mustache/spec at 9cb20c3, specs/comments.json; copyright and MIT licence in specCase.ts. */
export const comments: SpecCase[] = [
  {
    name: "Inline",
    desc: "Comment blocks should be removed from the template.",
    template: "12345{{! Comment Block! }}67890",
    data: {},
    expected: "1234567890",
  },
  {
    name: "Multiline",
    desc: "Multiline comments should be permitted.",
    template: "12345{{!\n  This is a\n  multi-line comment...\n}}67890\n",
    data: {},
    expected: "1234567890\n",
  },
  {
    name: "Standalone",
    desc: "All standalone comment lines should be removed.",
    template: "Begin.\n{{! Comment Block! }}\nEnd.\n",
    data: {},
    expected: "Begin.\nEnd.\n",
  },
  {
    name: "Indented Standalone",
    desc: "All standalone comment lines should be removed.",
    template: "Begin.\n  {{! Indented Comment Block! }}\nEnd.\n",
    data: {},
    expected: "Begin.\nEnd.\n",
  },
  {
    name: "Standalone Line Endings",
    desc: '"\\r\\n" should be considered a newline for standalone tags.',
    template: "|\r\n{{! Standalone Comment }}\r\n|",
    data: {},
    expected: "|\r\n|",
  },
  {
    name: "Standalone Without Previous Line",
    desc: "Standalone tags should not require a newline to precede them.",
    template: "  {{! I'm Still Standalone }}\n!",
    data: {},
    expected: "!",
  },
  {
    name: "Standalone Without Newline",
    desc: "Standalone tags should not require a newline to follow them.",
    template: "!\n  {{! I'm Still Standalone }}",
    data: {},
    expected: "!\n",
  },
  {
    name: "Multiline Standalone",
    desc: "All standalone comment lines should be removed.",
    template: "Begin.\n{{!\nSomething's going on here...\n}}\nEnd.\n",
    data: {},
    expected: "Begin.\nEnd.\n",
  },
  {
    name: "Indented Multiline Standalone",
    desc: "All standalone comment lines should be removed.",
    template: "Begin.\n  {{!\n    Something's going on here...\n  }}\nEnd.\n",
    data: {},
    expected: "Begin.\nEnd.\n",
  },
  {
    name: "Indented Inline",
    desc: "Inline comments should not strip whitespace",
    template: "  12 {{! 34 }}\n",
    data: {},
    expected: "  12 \n",
  },
  {
    name: "Surrounding Whitespace",
    desc: "Comment removal should preserve surrounding whitespace.",
    template: "12345 {{! Comment Block! }} 67890",
    data: {},
    expected: "12345  67890",
  },
  {
    name: "Variable Name Collision",
    desc: "Comments must never render, even if variable with same name exists.",
    template: "comments never show: >{{! comment }}<",
    data: { "! comment": 1, "! comment ": 2, "!comment": 3, comment: 4 },
    expected: "comments never show: ><",
  },
];
