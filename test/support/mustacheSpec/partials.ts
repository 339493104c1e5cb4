import type { SpecCase } from "./specCase.ts";

/** From github.com/mustache/spec at 9cb20c3, specs/partials.json; copyright and MIT licence in specCase.ts. */
export const partials: SpecCase[] = [
  {
    name: "Basic Behavior",
    desc: "The greater-than operator should expand to the named partial.",
    template: '"{{>text}}"',
    data: {},
    partials: {
      text: "from partial",
    },
    expected: '"from partial"',
  },
  {
    name: "Failed Lookup",
    desc: "The empty string should be used when the named partial is not found.",
    template: '"{{>text}}"',
    data: {},
    partials: {},
    expected: '""',
  },
  {
    name: "Context",
    desc: "The greater-than operator should operate within the current context.",
    template: '"{{>partial}}"',
    data: {
      text: "content",
    },
    partials: {
      partial: "*{{text}}*",
    },
    expected: '"*content*"',
  },
  {
    name: "Recursion",
    desc: "The greater-than operator should properly recurse.",
    template: "{{>node}}",
    data: {
      content: "X",
      nodes: [
        {
          content: "Y",
          nodes: [],
        },
      ],
    },
    partials: {
      node: "{{content}}<{{#nodes}}{{>node}}{{/nodes}}>",
    },
    expected: "X<Y<>>",
  },
  {
    name: "Nested",
    desc: "The greater-than operator should work from within partials.",
    template: "{{>outer}}",
    data: {
      a: "hello",
      b: "world",
    },
    partials: {
      outer: "*{{a}} {{>inner}}*",
      inner: "{{b}}!",
    },
    expected: "*hello world!*",
  },
  {
    name: "Surrounding Whitespace",
    desc: "The greater-than operator should not alter surrounding whitespace.",
    template: "| {{>partial}} |",
    data: {},
    partials: {
      partial: "\t|\t",
    },
    expected: "| \t|\t |",
  },
  {
    name: "Inline Indentation",
    desc: "Whitespace should be left untouched.",
    template: "  {{data}}  {{> partial}}\n",
    data: {
      data: "|",
    },
    partials: {
      partial: ">\n>",
    },
    expected: "  |  >\n>\n",
  },
  {
    name: "Standalone Line Endings",
    desc: '"\\r\\n" should be considered a newline for standalone tags.',
    template: "|\r\n{{>partial}}\r\n|",
    data: {},
    partials: {
      partial: ">",
    },
    expected: "|\r\n>|",
  },
  {
    name: "Standalone Without Previous Line",
    desc: "Standalone tags should not require a newline to precede them.",
    template: "  {{>partial}}\n>",
    data: {},
    partials: {
      partial: ">\n>",
    },
    expected: "  >\n  >>",
  },
  {
    name: "Standalone Without Newline",
    desc: "Standalone tags should not require a newline to follow them.",
    template: ">\n  {{>partial}}",
    data: {},
    partials: {
      partial: ">\n>",
    },
    expected: ">\n  >\n  >",
  },
  {
    name: "Standalone Indentation",
    desc: "Each line of the partial should be indented before rendering.",
    template: "\\\n {{>partial}}\n/\n",
    data: {
      content: "<\n->",
    },
    partials: {
      partial: "|\n{{{content}}}\n|\n",
    },
    expected: "\\\n |\n <\n->\n |\n/\n",
  },
  {
    name: "Padding Whitespace",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{> partial }}|",
    data: {
      boolean: true,
    },
    partials: {
      partial: "[]",
    },
    expected: "|[]|",
  },
];
