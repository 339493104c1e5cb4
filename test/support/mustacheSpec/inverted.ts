import type { SpecCase } from "./specCase.ts";

/** From github.com/mustache/spec at 9cb20c3, specs/inverted.json; copyright and MIT licence in specCase.ts. */
export const inverted: SpecCase[] = [
  {
    name: "Falsey",
    desc: "Falsey sections should have their contents rendered.",
    template: '"{{^boolean}}This should be rendered.{{/boolean}}"',
    data: {
      boolean: false,
    },
    expected: '"This should be rendered."',
  },
  {
    name: "Truthy",
    desc: "Truthy sections should have their contents omitted.",
    template: '"{{^boolean}}This should not be rendered.{{/boolean}}"',
    data: {
      boolean: true,
    },
    expected: '""',
  },
  {
    name: "Null is falsey",
    desc: "Null is falsey.",
    template: '"{{^null}}This should be rendered.{{/null}}"',
    data: {
      null: null,
    },
    expected: '"This should be rendered."',
  },
  {
    name: "Context",
    desc: "Objects and hashes should behave like truthy values.",
    template: '"{{^context}}Hi {{name}}.{{/context}}"',
    data: {
      context: {
        name: "Joe",
      },
    },
    expected: '""',
  },
  {
    name: "List",
    desc: "Lists should behave like truthy values.",
    template: '"{{^list}}{{n}}{{/list}}"',
    data: {
      list: [
        {
          n: 1,
        },
        {
          n: 2,
        },
        {
          n: 3,
        },
      ],
    },
    expected: '""',
  },
  {
    name: "Empty List",
    desc: "Empty lists should behave like falsey values.",
    template: '"{{^list}}Yay lists!{{/list}}"',
    data: {
      list: [],
    },
    expected: '"Yay lists!"',
  },
  {
    name: "Doubled",
    desc: "Multiple inverted sections per template should be permitted.",
    template: "{{^bool}}\n* first\n{{/bool}}\n* {{two}}\n{{^bool}}\n* third\n{{/bool}}\n",
    data: {
      bool: false,
      two: "second",
    },
    expected: "* first\n* second\n* third\n",
  },
  {
    name: "Nested (Falsey)",
    desc: "Nested falsey sections should have their contents rendered.",
    template: "| A {{^bool}}B {{^bool}}C{{/bool}} D{{/bool}} E |",
    data: {
      bool: false,
    },
    expected: "| A B C D E |",
  },
  {
    name: "Nested (Truthy)",
    desc: "Nested truthy sections should be omitted.",
    template: "| A {{^bool}}B {{^bool}}C{{/bool}} D{{/bool}} E |",
    data: {
      bool: true,
    },
    expected: "| A  E |",
  },
  {
    name: "Context Misses",
    desc: "Failed context lookups should be considered falsey.",
    template: "[{{^missing}}Cannot find key 'missing'!{{/missing}}]",
    data: {},
    expected: "[Cannot find key 'missing'!]",
  },
  {
    name: "Dotted Names - Truthy",
    desc: "Dotted names should be valid for Inverted Section tags.",
    template: '"{{^a.b.c}}Not Here{{/a.b.c}}" == ""',
    data: {
      a: {
        b: {
          c: true,
        },
      },
    },
    expected: '"" == ""',
  },
  {
    name: "Dotted Names - Falsey",
    desc: "Dotted names should be valid for Inverted Section tags.",
    template: '"{{^a.b.c}}Not Here{{/a.b.c}}" == "Not Here"',
    data: {
      a: {
        b: {
          c: false,
        },
      },
    },
    expected: '"Not Here" == "Not Here"',
  },
  {
    name: "Dotted Names - Broken Chains",
    desc: "Dotted names that cannot be resolved should be considered falsey.",
    template: '"{{^a.b.c}}Not Here{{/a.b.c}}" == "Not Here"',
    data: {
      a: {},
    },
    expected: '"Not Here" == "Not Here"',
  },
  {
    name: "Surrounding Whitespace",
    desc: "Inverted sections should not alter surrounding whitespace.",
    template: " | {{^boolean}}\t|\t{{/boolean}} | \n",
    data: {
      boolean: false,
    },
    expected: " | \t|\t | \n",
  },
  {
    name: "Internal Whitespace",
    desc: "Inverted should not alter internal whitespace.",
    template: " | {{^boolean}} {{! Important Whitespace }}\n {{/boolean}} | \n",
    data: {
      boolean: false,
    },
    expected: " |  \n  | \n",
  },
  {
    name: "Indented Inline Sections",
    desc: "Single-line sections should not alter surrounding whitespace.",
    template: " {{^boolean}}NO{{/boolean}}\n {{^boolean}}WAY{{/boolean}}\n",
    data: {
      boolean: false,
    },
    expected: " NO\n WAY\n",
  },
  {
    name: "Standalone Lines",
    desc: "Standalone lines should be removed from the template.",
    template: "| This Is\n{{^boolean}}\n|\n{{/boolean}}\n| A Line\n",
    data: {
      boolean: false,
    },
    expected: "| This Is\n|\n| A Line\n",
  },
  {
    name: "Standalone Indented Lines",
    desc: "Standalone indented lines should be removed from the template.",
    template: "| This Is\n  {{^boolean}}\n|\n  {{/boolean}}\n| A Line\n",
    data: {
      boolean: false,
    },
    expected: "| This Is\n|\n| A Line\n",
  },
  {
    name: "Standalone Line Endings",
    desc: '"\\r\\n" should be considered a newline for standalone tags.',
    template: "|\r\n{{^boolean}}\r\n{{/boolean}}\r\n|",
    data: {
      boolean: false,
    },
    expected: "|\r\n|",
  },
  {
    name: "Standalone Without Previous Line",
    desc: "Standalone tags should not require a newline to precede them.",
    template: "  {{^boolean}}\n^{{/boolean}}\n/",
    data: {
      boolean: false,
    },
    expected: "^\n/",
  },
  {
    name: "Standalone Without Newline",
    desc: "Standalone tags should not require a newline to follow them.",
    template: "^{{^boolean}}\n/\n  {{/boolean}}",
    data: {
      boolean: false,
    },
    expected: "^\n/\n",
  },
  {
    name: "Padding",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{^ boolean }}={{/ boolean }}|",
    data: {
      boolean: false,
    },
    expected: "|=|",
  },
];
