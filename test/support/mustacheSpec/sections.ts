import type { SpecCase } from "./specCase.ts";

/** From github.com/mustache/spec at 9cb20c3, specs/sections.json; copyright and MIT licence in specCase.ts. */
export const sections: SpecCase[] = [
  {
    name: "Truthy",
    desc: "Truthy sections should have their contents rendered.",
    template: '"{{#boolean}}This should be rendered.{{/boolean}}"',
    data: {
      boolean: true,
    },
    expected: '"This should be rendered."',
  },
  {
    name: "Falsey",
    desc: "Falsey sections should have their contents omitted.",
    template: '"{{#boolean}}This should not be rendered.{{/boolean}}"',
    data: {
      boolean: false,
    },
    expected: '""',
  },
  {
    name: "Null is falsey",
    desc: "Null is falsey.",
    template: '"{{#null}}This should not be rendered.{{/null}}"',
    data: {
      null: null,
    },
    expected: '""',
  },
  {
    name: "Context",
    desc: "Objects and hashes should be pushed onto the context stack.",
    template: '"{{#context}}Hi {{name}}.{{/context}}"',
    data: {
      context: {
        name: "Joe",
      },
    },
    expected: '"Hi Joe."',
  },
  {
    name: "Parent contexts",
    desc: "Names missing in the current context are looked up in the stack.",
    template: '"{{#sec}}{{a}}, {{b}}, {{c.d}}{{/sec}}"',
    data: {
      a: "foo",
      b: "wrong",
      sec: {
        b: "bar",
      },
      c: {
        d: "baz",
      },
    },
    expected: '"foo, bar, baz"',
  },
  {
    name: "Variable test",
    desc: "Non-false sections have their value at the top of context,\naccessible as {{.}} or through the parent context. This gives\na simple way to display content conditionally if a variable exists.\n",
    template: '"{{#foo}}{{.}} is {{foo}}{{/foo}}"',
    data: {
      foo: "bar",
    },
    expected: '"bar is bar"',
  },
  {
    name: "List Contexts",
    desc: "All elements on the context stack should be accessible within lists.",
    template:
      "{{#tops}}{{#middles}}{{tname.lower}}{{mname}}.{{#bottoms}}{{tname.upper}}{{mname}}{{bname}}.{{/bottoms}}{{/middles}}{{/tops}}",
    data: {
      tops: [
        {
          tname: {
            upper: "A",
            lower: "a",
          },
          middles: [
            {
              mname: "1",
              bottoms: [
                {
                  bname: "x",
                },
                {
                  bname: "y",
                },
              ],
            },
          ],
        },
      ],
    },
    expected: "a1.A1x.A1y.",
  },
  {
    name: "Deeply Nested Contexts",
    desc: "All elements on the context stack should be accessible.",
    template:
      "{{#a}}\n{{one}}\n{{#b}}\n{{one}}{{two}}{{one}}\n{{#c}}\n{{one}}{{two}}{{three}}{{two}}{{one}}\n{{#d}}\n{{one}}{{two}}{{three}}{{four}}{{three}}{{two}}{{one}}\n{{#five}}\n{{one}}{{two}}{{three}}{{four}}{{five}}{{four}}{{three}}{{two}}{{one}}\n{{one}}{{two}}{{three}}{{four}}{{.}}6{{.}}{{four}}{{three}}{{two}}{{one}}\n{{one}}{{two}}{{three}}{{four}}{{five}}{{four}}{{three}}{{two}}{{one}}\n{{/five}}\n{{one}}{{two}}{{three}}{{four}}{{three}}{{two}}{{one}}\n{{/d}}\n{{one}}{{two}}{{three}}{{two}}{{one}}\n{{/c}}\n{{one}}{{two}}{{one}}\n{{/b}}\n{{one}}\n{{/a}}\n",
    data: {
      a: {
        one: 1,
      },
      b: {
        two: 2,
      },
      c: {
        three: 3,
        d: {
          four: 4,
          five: 5,
        },
      },
    },
    expected: "1\n121\n12321\n1234321\n123454321\n12345654321\n123454321\n1234321\n12321\n121\n1\n",
  },
  {
    name: "List",
    desc: "Lists should be iterated; list items should visit the context stack.",
    template: '"{{#list}}{{item}}{{/list}}"',
    data: {
      list: [
        {
          item: 1,
        },
        {
          item: 2,
        },
        {
          item: 3,
        },
      ],
    },
    expected: '"123"',
  },
  {
    name: "Empty List",
    desc: "Empty lists should behave like falsey values.",
    template: '"{{#list}}Yay lists!{{/list}}"',
    data: {
      list: [],
    },
    expected: '""',
  },
  {
    name: "Doubled",
    desc: "Multiple sections per template should be permitted.",
    template: "{{#bool}}\n* first\n{{/bool}}\n* {{two}}\n{{#bool}}\n* third\n{{/bool}}\n",
    data: {
      bool: true,
      two: "second",
    },
    expected: "* first\n* second\n* third\n",
  },
  {
    name: "Nested (Truthy)",
    desc: "Nested truthy sections should have their contents rendered.",
    template: "| A {{#bool}}B {{#bool}}C{{/bool}} D{{/bool}} E |",
    data: {
      bool: true,
    },
    expected: "| A B C D E |",
  },
  {
    name: "Nested (Falsey)",
    desc: "Nested falsey sections should be omitted.",
    template: "| A {{#bool}}B {{#bool}}C{{/bool}} D{{/bool}} E |",
    data: {
      bool: false,
    },
    expected: "| A  E |",
  },
  {
    name: "Context Misses",
    desc: "Failed context lookups should be considered falsey.",
    template: "[{{#missing}}Found key 'missing'!{{/missing}}]",
    data: {},
    expected: "[]",
  },
  {
    name: "Implicit Iterator - String",
    desc: "Implicit iterators should directly interpolate strings.",
    template: '"{{#list}}({{.}}){{/list}}"',
    data: {
      list: ["a", "b", "c", "d", "e"],
    },
    expected: '"(a)(b)(c)(d)(e)"',
  },
  {
    name: "Implicit Iterator - Integer",
    desc: "Implicit iterators should cast integers to strings and interpolate.",
    template: '"{{#list}}({{.}}){{/list}}"',
    data: {
      list: [1, 2, 3, 4, 5],
    },
    expected: '"(1)(2)(3)(4)(5)"',
  },
  {
    name: "Implicit Iterator - Decimal",
    desc: "Implicit iterators should cast decimals to strings and interpolate.",
    template: '"{{#list}}({{.}}){{/list}}"',
    data: {
      list: [1.1, 2.2, 3.3, 4.4, 5.5],
    },
    expected: '"(1.1)(2.2)(3.3)(4.4)(5.5)"',
  },
  {
    name: "Implicit Iterator - Array",
    desc: "Implicit iterators should allow iterating over nested arrays.",
    template: '"{{#list}}({{#.}}{{.}}{{/.}}){{/list}}"',
    data: {
      list: [
        [1, 2, 3],
        ["a", "b", "c"],
      ],
    },
    expected: '"(123)(abc)"',
  },
  {
    name: "Implicit Iterator - HTML Escaping",
    desc: "Implicit iterators with basic interpolation should be HTML escaped.",
    template: '"{{#list}}({{.}}){{/list}}"',
    data: {
      list: ["&", '"', "<", ">"],
    },
    expected: '"(&amp;)(&quot;)(&lt;)(&gt;)"',
  },
  {
    name: "Implicit Iterator - Triple mustache",
    desc: "Implicit iterators in triple mustache should interpolate without HTML escaping.",
    template: '"{{#list}}({{{.}}}){{/list}}"',
    data: {
      list: ["&", '"', "<", ">"],
    },
    expected: '"(&)(")(<)(>)"',
  },
  {
    name: "Implicit Iterator - Ampersand",
    desc: "Implicit iterators in an Ampersand tag should interpolate without HTML escaping.",
    template: '"{{#list}}({{&.}}){{/list}}"',
    data: {
      list: ["&", '"', "<", ">"],
    },
    expected: '"(&)(")(<)(>)"',
  },
  {
    name: "Implicit Iterator - Root-level",
    desc: "Implicit iterators should work on root-level lists.",
    template: '"{{#.}}({{value}}){{/.}}"',
    data: [
      {
        value: "a",
      },
      {
        value: "b",
      },
    ],
    expected: '"(a)(b)"',
  },
  {
    name: "Dotted Names - Truthy",
    desc: "Dotted names should be valid for Section tags.",
    template: '"{{#a.b.c}}Here{{/a.b.c}}" == "Here"',
    data: {
      a: {
        b: {
          c: true,
        },
      },
    },
    expected: '"Here" == "Here"',
  },
  {
    name: "Dotted Names - Falsey",
    desc: "Dotted names should be valid for Section tags.",
    template: '"{{#a.b.c}}Here{{/a.b.c}}" == ""',
    data: {
      a: {
        b: {
          c: false,
        },
      },
    },
    expected: '"" == ""',
  },
  {
    name: "Dotted Names - Broken Chains",
    desc: "Dotted names that cannot be resolved should be considered falsey.",
    template: '"{{#a.b.c}}Here{{/a.b.c}}" == ""',
    data: {
      a: {},
    },
    expected: '"" == ""',
  },
  {
    name: "Surrounding Whitespace",
    desc: "Sections should not alter surrounding whitespace.",
    template: " | {{#boolean}}\t|\t{{/boolean}} | \n",
    data: {
      boolean: true,
    },
    expected: " | \t|\t | \n",
  },
  {
    name: "Internal Whitespace",
    desc: "Sections should not alter internal whitespace.",
    template: " | {{#boolean}} {{! Important Whitespace }}\n {{/boolean}} | \n",
    data: {
      boolean: true,
    },
    expected: " |  \n  | \n",
  },
  {
    name: "Indented Inline Sections",
    desc: "Single-line sections should not alter surrounding whitespace.",
    template: " {{#boolean}}YES{{/boolean}}\n {{#boolean}}GOOD{{/boolean}}\n",
    data: {
      boolean: true,
    },
    expected: " YES\n GOOD\n",
  },
  {
    name: "Standalone Lines",
    desc: "Standalone lines should be removed from the template.",
    template: "| This Is\n{{#boolean}}\n|\n{{/boolean}}\n| A Line\n",
    data: {
      boolean: true,
    },
    expected: "| This Is\n|\n| A Line\n",
  },
  {
    name: "Indented Standalone Lines",
    desc: "Indented standalone lines should be removed from the template.",
    template: "| This Is\n  {{#boolean}}\n|\n  {{/boolean}}\n| A Line\n",
    data: {
      boolean: true,
    },
    expected: "| This Is\n|\n| A Line\n",
  },
  {
    name: "Standalone Line Endings",
    desc: '"\\r\\n" should be considered a newline for standalone tags.',
    template: "|\r\n{{#boolean}}\r\n{{/boolean}}\r\n|",
    data: {
      boolean: true,
    },
    expected: "|\r\n|",
  },
  {
    name: "Standalone Without Previous Line",
    desc: "Standalone tags should not require a newline to precede them.",
    template: "  {{#boolean}}\n#{{/boolean}}\n/",
    data: {
      boolean: true,
    },
    expected: "#\n/",
  },
  {
    name: "Standalone Without Newline",
    desc: "Standalone tags should not require a newline to follow them.",
    template: "#{{#boolean}}\n/\n  {{/boolean}}",
    data: {
      boolean: true,
    },
    expected: "#\n/\n",
  },
  {
    name: "Padding",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{# boolean }}={{/ boolean }}|",
    data: {
      boolean: true,
    },
    expected: "|=|",
  },
];
