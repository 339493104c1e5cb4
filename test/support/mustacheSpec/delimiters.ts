import type { SpecCase } from "./specCase.ts";

/** From github.com/mustache/spec at 9cb20c3, specs/delimiters.json; copyright and MIT licence in specCase.ts. */
export const delimiters: SpecCase[] = [
  {
    name: "Pair Behavior",
    desc: "The equals sign (used on both sides) should permit delimiter changes.",
    template: "{{=<% %>=}}(<%text%>)",
    data: { text: "Hey!" },
    expected: "(Hey!)",
  },
  {
    name: "Special Characters",
    desc: "Characters with special meaning regexen should be valid delimiters.",
    template: "({{=[ ]=}}[text])",
    data: { text: "It worked!" },
    expected: "(It worked!)",
  },
  {
    name: "Sections",
    desc: "Delimiters set outside sections should persist.",
    template:
      "[\n{{#section}}\n  {{data}}\n  |data|\n{{/section}}\n\n{{= | | =}}\n|#section|\n  {{data}}\n  |data|\n|/section|\n]\n",
    data: { section: true, data: "I got interpolated." },
    expected: "[\n  I got interpolated.\n  |data|\n\n  {{data}}\n  I got interpolated.\n]\n",
  },
  {
    name: "Inverted Sections",
    desc: "Delimiters set outside inverted sections should persist.",
    template:
      "[\n{{^section}}\n  {{data}}\n  |data|\n{{/section}}\n\n{{= | | =}}\n|^section|\n  {{data}}\n  |data|\n|/section|\n]\n",
    data: { section: false, data: "I got interpolated." },
    expected: "[\n  I got interpolated.\n  |data|\n\n  {{data}}\n  I got interpolated.\n]\n",
  },
  {
    name: "Partial Inheritence",
    desc: "Delimiters set in a parent template should not affect a partial.",
    template: "[ {{>include}} ]\n{{= | | =}}\n[ |>include| ]\n",
    data: { value: "yes" },
    partials: { include: ".{{value}}." },
    expected: "[ .yes. ]\n[ .yes. ]\n",
  },
  {
    name: "Post-Partial Behavior",
    desc: "Delimiters set in a partial should not affect the parent template.",
    template: "[ {{>include}} ]\n[ .{{value}}.  .|value|. ]\n",
    data: { value: "yes" },
    partials: { include: ".{{value}}. {{= | | =}} .|value|." },
    expected: "[ .yes.  .yes. ]\n[ .yes.  .|value|. ]\n",
  },
  {
    name: "Surrounding Whitespace",
    desc: "Surrounding whitespace should be left untouched.",
    template: "| {{=@ @=}} |",
    data: {},
    expected: "|  |",
  },
  {
    name: "Outlying Whitespace (Inline)",
    desc: "Whitespace should be left untouched.",
    template: " | {{=@ @=}}\n",
    data: {},
    expected: " | \n",
  },
  {
    name: "Standalone Tag",
    desc: "Standalone lines should be removed from the template.",
    template: "Begin.\n{{=@ @=}}\nEnd.\n",
    data: {},
    expected: "Begin.\nEnd.\n",
  },
  {
    name: "Indented Standalone Tag",
    desc: "Indented standalone lines should be removed from the template.",
    template: "Begin.\n  {{=@ @=}}\nEnd.\n",
    data: {},
    expected: "Begin.\nEnd.\n",
  },
  {
    name: "Standalone Line Endings",
    desc: '"\\r\\n" should be considered a newline for standalone tags.',
    template: "|\r\n{{= @ @ =}}\r\n|",
    data: {},
    expected: "|\r\n|",
  },
  {
    name: "Standalone Without Previous Line",
    desc: "Standalone tags should not require a newline to precede them.",
    template: "  {{=@ @=}}\n=",
    data: {},
    expected: "=",
  },
  {
    name: "Standalone Without Newline",
    desc: "Standalone tags should not require a newline to follow them.",
    template: "=\n  {{=@ @=}}",
    data: {},
    expected: "=\n",
  },
  {
    name: "Pair with Padding",
    desc: "Superfluous in-tag whitespace should be ignored.",
    template: "|{{= @   @ =}}|",
    data: {},
    expected: "||",
  },
];
