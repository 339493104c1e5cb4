import type { SpecCase } from "./specCase.ts";

/** From github.com/mustache/spec at 9cb20c3, specs/interpolation.json; copyright and MIT licence in specCase.ts. */
export const interpolation: SpecCase[] = [
  {
    name: "No Interpolation",
    desc: "Mustache-free templates should render as-is.",
    template: "Hello from {Mustache}!\n",
    data: {},
    expected: "Hello from {Mustache}!\n",
  },
  {
    name: "Basic Interpolation",
    desc: "Unadorned tags should interpolate content into the template.",
    template: "Hello, {{subject}}!\n",
    data: {
      subject: "world",
    },
    expected: "Hello, world!\n",
  },
  {
    name: "No Re-interpolation",
    desc: "Interpolated tag output should not be re-interpolated.",
    template: "{{template}}: {{planet}}",
    data: {
      template: "{{planet}}",
      planet: "Earth",
    },
    expected: "{{planet}}: Earth",
  },
  {
    name: "HTML Escaping",
    desc: "Basic interpolation should be HTML escaped.",
    template: "These characters should be HTML escaped: {{forbidden}}\n",
    data: {
      forbidden: '& " < >',
    },
    expected: "These characters should be HTML escaped: &amp; &quot; &lt; &gt;\n",
  },
  {
    name: "Triple Mustache",
    desc: "Triple mustaches should interpolate without HTML escaping.",
    template: "These characters should not be HTML escaped: {{{forbidden}}}\n",
    data: {
      forbidden: '& " < >',
    },
    expected: 'These characters should not be HTML escaped: & " < >\n',
  },
  {
    name: "Ampersand",
    desc: "Ampersand should interpolate without HTML escaping.",
    template: "These characters should not be HTML escaped: {{&forbidden}}\n",
    data: {
      forbidden: '& " < >',
    },
    expected: 'These characters should not be HTML escaped: & " < >\n',
  },
  {
    name: "Basic Integer Interpolation",
    desc: "Integers should interpolate seamlessly.",
    template: '"{{mph}} miles an hour!"',
    data: {
      mph: 85,
    },
    expected: '"85 miles an hour!"',
  },
  {
    name: "Triple Mustache Integer Interpolation",
    desc: "Integers should interpolate seamlessly.",
    template: '"{{{mph}}} miles an hour!"',
    data: {
      mph: 85,
    },
    expected: '"85 miles an hour!"',
  },
  {
    name: "Ampersand Integer Interpolation",
    desc: "Integers should interpolate seamlessly.",
    template: '"{{&mph}} miles an hour!"',
    data: {
      mph: 85,
    },
    expected: '"85 miles an hour!"',
  },
  {
    name: "Basic Decimal Interpolation",
    desc: "Decimals should interpolate seamlessly with proper significance.",
    template: '"{{power}} jiggawatts!"',
    data: {
      power: 1.21,
    },
    expected: '"1.21 jiggawatts!"',
  },
  {
    name: "Triple Mustache Decimal Interpolation",
    desc: "Decimals should interpolate seamlessly with proper significance.",
    template: '"{{{power}}} jiggawatts!"',
    data: {
      power: 1.21,
    },
    expected: '"1.21 jiggawatts!"',
  },
  {
    name: "Ampersand Decimal Interpolation",
    desc: "Decimals should interpolate seamlessly with proper significance.",
    template: '"{{&power}} jiggawatts!"',
    data: {
      power: 1.21,
    },
    expected: '"1.21 jiggawatts!"',
  },
  {
    name: "Basic Null Interpolation",
    desc: "Nulls should interpolate as the empty string.",
    template: "I ({{cannot}}) be seen!",
    data: {
      cannot: null,
    },
    expected: "I () be seen!",
  },
  {
    name: "Triple Mustache Null Interpolation",
    desc: "Nulls should interpolate as the empty string.",
    template: "I ({{{cannot}}}) be seen!",
    data: {
      cannot: null,
    },
    expected: "I () be seen!",
  },
  {
    name: "Ampersand Null Interpolation",
    desc: "Nulls should interpolate as the empty string.",
    template: "I ({{&cannot}}) be seen!",
    data: {
      cannot: null,
    },
    expected: "I () be seen!",
  },
  {
    name: "Basic Context Miss Interpolation",
    desc: "Failed context lookups should default to empty strings.",
    template: "I ({{cannot}}) be seen!",
    data: {},
    expected: "I () be seen!",
  },
  {
    name: "Triple Mustache Context Miss Interpolation",
    desc: "Failed context lookups should default to empty strings.",
    template: "I ({{{cannot}}}) be seen!",
    data: {},
    expected: "I () be seen!",
  },
  {
    name: "Ampersand Context Miss Interpolation",
    desc: "Failed context lookups should default to empty strings.",
    template: "I ({{&cannot}}) be seen!",
    data: {},
    expected: "I () be seen!",
  },
  {
    name: "Dotted Names - Basic Interpolation",
    desc: "Dotted names should be considered a form of shorthand for sections.",
    template: '"{{person.name}}" == "{{#person}}{{name}}{{/person}}"',
    data: {
      person: {
        name: "Joe",
      },
    },
    expected: '"Joe" == "Joe"',
  },
  {
    name: "Dotted Names - Triple Mustache Interpolation",
    desc: "Dotted names should be considered a form of shorthand for sections.",
    template: '"{{{person.name}}}" == "{{#person}}{{{name}}}{{/person}}"',
    data: {
      person: {
        name: "Joe",
      },
    },
    expected: '"Joe" == "Joe"',
  },
  {
    name: "Dotted Names - Ampersand Interpolation",
    desc: "Dotted names should be considered a form of shorthand for sections.",
    template: '"{{&person.name}}" == "{{#person}}{{&name}}{{/person}}"',
    data: {
      person: {
        name: "Joe",
      },
    },
    expected: '"Joe" == "Joe"',
  },
  {
    name: "Dotted Names - Arbitrary Depth",
    desc: "Dotted names should be functional to any level of nesting.",
    template: '"{{a.b.c.d.e.name}}" == "Phil"',
    data: {
      a: {
        b: {
          c: {
            d: {
              e: {
                name: "Phil",
              },
            },
          },
        },
      },
    },
    expected: '"Phil" == "Phil"',
  },
  {
    name: "Dotted Names - Broken Chains",
    desc: "Any falsey value prior to the last part of the name should yield ''.",
    template: '"{{a.b.c}}" == ""',
    data: {
      a: {},
    },
    expected: '"" == ""',
  },
  {
    name: "Dotted Names - Broken Chain Resolution",
    desc: "Each part of a dotted name should resolve only against its parent.",
    template: '"{{a.b.c.name}}" == ""',
    data: {
      a: {
        b: {},
      },
      c: {
        name: "Jim",
      },
    },
    expected: '"" == ""',
  },
  {
    name: "Dotted Names - Initial Resolution",
    desc: "The first part of a dotted name should resolve as any other name.",
    template: '"{{#a}}{{b.c.d.e.name}}{{/a}}" == "Phil"',
    data: {
      a: {
        b: {
          c: {
            d: {
              e: {
                name: "Phil",
              },
            },
          },
        },
      },
      b: {
        c: {
          d: {
            e: {
              name: "Wrong",
            },
          },
        },
      },
    },
    expected: '"Phil" == "Phil"',
  },
  {
    name: "Dotted Names - Context Precedence",
    desc: "Dotted names should be resolved against former resolutions.",
    template: "{{#a}}{{b.c}}{{/a}}",
    data: {
      a: {
        b: {},
      },
      b: {
        c: "ERROR",
      },
    },
    expected: "",
  },
  {
    name: "Dotted Names are never single keys",
    desc: "Dotted names shall not be parsed as single, atomic keys",
    template: "{{a.b}}",
    data: {
      "a.b": "c",
    },
    expected: "",
  },
  {
    name: "Dotted Names - No Masking",
    desc: "Dotted Names in a given context are unvavailable due to dot splitting",
    template: "{{a.b}}",
    data: {
      "a.b": "c",
      a: {
        b: "d",
      },
    },
    expected: "d",
  },
  {
    name: "Implicit Iterators - Basic Interpolation",
    desc: "Unadorned tags should interpolate content into the template.",
    template: "Hello, {{.}}!\n",
    data: "world",
    expected: "Hello, world!\n",
  },
  {
    name: "Implicit Iterators - HTML Escaping",
    desc: "Basic interpolation should be HTML escaped.",
    template: "These characters should be HTML escaped: {{.}}\n",
    data: '& " < >',
    expected: "These characters should be HTML escaped: &amp; &quot; &lt; &gt;\n",
  },
  {
    name: "Implicit Iterators - Triple Mustache",
    desc: "Triple mustaches should interpolate without HTML escaping.",
    template: "These characters should not be HTML escaped: {{{.}}}\n",
    data: '& " < >',
    expected: 'These characters should not be HTML escaped: & " < >\n',
  },
  {
    name: "Implicit Iterators - Ampersand",
    desc: "Ampersand should interpolate without HTML escaping.",
    template: "These characters should not be HTML escaped: {{&.}}\n",
    data: '& " < >',
    expected: 'These characters should not be HTML escaped: & " < >\n',
  },
  {
    name: "Implicit Iterators - Basic Integer Interpolation",
    desc: "Integers should interpolate seamlessly.",
    template: '"{{.}} miles an hour!"',
    data: 85,
    expected: '"85 miles an hour!"',
  },
  {
    name: "Interpolation - Surrounding Whitespace",
    desc: "Interpolation should not alter surrounding whitespace.",
    template: "| {{string}} |",
    data: {
      string: "---",
    },
    expected: "| --- |",
  },
  {
    name: "Triple Mustache - Surrounding Whitespace",
    desc: "Interpolation should not alter surrounding whitespace.",
    template: "| {{{string}}} |",
    data: {
      string: "---",
    },
    expected: "| --- |",
  },
  {
    name: "Ampersand - Surrounding Whitespace",
    desc: "Interpolation should not alter surrounding whitespace.",
    template: "| {{&string}} |",
    data: {
      string: "---",
    },
    expected: "| --- |",
  },
  {
    name: "Interpolation - Standalone",
    desc: "Standalone interpolation should not alter surrounding whitespace.",
    template: "  {{string}}\n",
    data: {
      string: "---",
    },
    expected: "  ---\n",
  },
  {
    name: "Triple Mustache - Standalone",
    desc: "Standalone interpolation should not alter surrounding whitespace.",
    template: "  {{{string}}}\n",
    data: {
      string: "---",
    },
    expected: "  ---\n",
  },
  {
    name: "Ampersand - Standalone",
    desc: "Standalone interpolation should not alter surrounding whitespace.",
    template: "  {{&string}}\n",
    data: {
      string: "---",
    },
    expected: "  ---\n",
  },
  {
    name: "Interpolation With Padding",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{ string }}|",
    data: {
      string: "---",
    },
    expected: "|---|",
  },
  {
    name: "Triple Mustache With Padding",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{{ string }}}|",
    data: {
      string: "---",
    },
    expected: "|---|",
  },
  {
    name: "Ampersand With Padding",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{& string }}|",
    data: {
      string: "---",
    },
    expected: "|---|",
  },
];
