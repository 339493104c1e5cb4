import { describe, expect, it } from "vitest";
import { checkedCallbackUrl } from "../../src/core/callbackAddress.ts";

const refused = expect.objectContaining({ code: "invalid_request", param: "url" });
const deployed = { allowLoopback: false, ownHosts: ["weir.example.com"] };
const development = { allowLoopback: true, ownHosts: ["127.0.0.1:8787"] };

/** What weir must not be made to call, in all the notations that parsers and resolvers forgive. */
const corpus = {
  "this machine": [
    "https://localhost/",
    "https://LOCALHOST/hook",
    "https://localhost./hook",
    "https://a.localhost/",
    "https://localhost.localdomain/",
    "https://127.0.0.1/",
    "https://127.0.0.1:443/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.255.255.254/",
    "https://0.0.0.0/",
    "https://0/",
    "https://[::1]/",
    "https://[::]/",
  ],
  "addresses in other bases": [
    "https://2130706433/",
    "https://017700000001/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://0x7f.1/",
    "https://0177.0.0.1/",
    "https://0177.1/",
    "https://127.0.0.0x1/",
    "https://00000177.0.0.01/",
    "https://4294967295/",
    "https://3232235521/",
  ],
  "private and special networks": [
    "https://10.0.0.1/",
    "https://10.1/",
    "https://172.16.0.1/",
    "https://192.168.0.1/",
    "https://192.168.257/",
    "https://169.254.169.254/latest/meta-data/",
    "https://100.64.0.1/",
    "https://100.100.100.200/",
    "https://192.0.2.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
  ],
  "public addresses": ["https://8.8.8.8/", "https://1.1/", "https://134744072/", "https://[2606:4700::1111]/"],
  "IPv6 that embeds or maps": [
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/",
    "https://[0:0:0:0:0:ffff:a00:1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[fd00:ec2::254]/",
    "https://[fc00::1]/",
    "https://[ff02::1]/",
    "https://[::1]:8443/",
  ],
  "names in disguise": [
    "https://①②⑦.⓪.⓪.①/",
    "https://１２７.０.０.１/",
    "https://127。0。0。1/",
    "https://127．0．0．1/",
    "https://١٢٧.٠.٠.١/",
    "https://ｌｏｃａｌｈｏｓｔ/",
    "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/",
    "https://loc\u00adalhost/",
    "https://%31%32%37.0.0.1/",
    "https://127.0.0.1%2e/",
    "https://%6c%6f%63%61%6c%68%6f%73%74/",
    "https://example%2ecom/",
    "https://loca\tlhost/",
    "https://exam\nple.com/",
    " https://example.com/",
    "https://example.com /",
    "https://exämple.com/",
    "https:\\\\127.0.0.1\\",
    "https://example.com\\@127.0.0.1/",
    "https:127.0.0.1",
    "https:/127.0.0.1/",
    "https:///127.0.0.1/",
    "https:example.com",
  ],
  "trailing dots": ["https://127.0.0.1./", "https://example.com./", "https://example.com../", "https://.example.com/"],
  "internal names": [
    "https://intranet/",
    "https://metadata/",
    "https://kubernetes.default.svc.cluster.local/",
    "https://printer.local/",
    "https://printer.LOCAL/",
    "https://db.internal/",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://instance-data.ec2.internal/",
    "https://router.home.arpa/",
    "https://1.0.0.127.in-addr.arpa/",
    "https://nas.lan/",
    "https://wiki.corp/",
    "https://box.home/",
    "https://svc.private/",
    "https://hidden.onion/",
    "https://nothing.invalid/",
    "https://metadata.tencentyun.com/latest/",
    "https://metadata.packet.net/",
    "https://metadata.goog/computeMetadata/v1/",
  ],
  "names that answer with an address written in them": [
    "https://127.0.0.1.nip.io/",
    "https://7f000001.nip.io/",
    "https://app.10.0.0.1.sslip.io/",
    "https://10-0-0-1.sslip.io/",
    "https://127.0.0.1.xip.io/",
    "https://localtest.me/",
    "https://deep.er.localtest.me/",
    "https://lvh.me/",
    "https://vcap.me/",
    "https://127-0-0-1.my-own-domain.com/",
    "https://192.168.0.1.my-own-domain.com/",
    "https://a-10-0-0-1-b.my-own-domain.com/",
  ],
  "weir itself": [
    "https://weir.example.com/hooks/trg_1",
    "https://WEIR.example.com/v1/chat/completions",
    "https://weir.example.com:443/",
  ],
  "what is no plain https": [
    "http://example.com/",
    "http://example.com:443/",
    "ftp://example.com/",
    "ws://example.com/",
    "wss://example.com/",
    "file:///etc/passwd",
    "data:text/plain,hi",
    "javascript:alert(1)",
    "blob:https://example.com/1",
    "gopher://example.com/",
    "//example.com/",
    "example.com",
    "https://",
    "https://?a",
    "https://#a",
    "",
  ],
  "ports and credentials": [
    "https://example.com:8443/",
    "https://example.com:80/",
    "https://example.com:22/",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://user@example.com/",
    "https://user:pass@example.com/",
    "https://:@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1@example.com/",
    "https://example.com:443@127.0.0.1/",
    "https://example.com/#fragment",
    "https://example.com/hook#",
  ],
  "names that are none": [
    "https://-a.example.com/",
    "https://a-.example.com/",
    "https://a_b.example.com/",
    "https://a..example.com/",
    "https://example.c0m1/",
    "https://example.123/",
    `https://${"a".repeat(64)}.example.com/`,
    `https://${"a.".repeat(130)}example.com/`,
  ],
};

describe.each(Object.entries(corpus))("a callback's address is refused: %s", (_, addresses) => {
  it.each(addresses)("%j", (address) => {
    expect(() => checkedCallbackUrl(address, deployed)).toThrow(refused);
  });
});

it("weir's own name is its own with a full stop after it, too", () => {
  const rules = { allowLoopback: false, ownHosts: ["weir.example.com."] };
  expect(() => checkedCallbackUrl("https://weir.example.com/hooks/trg_1", rules)).toThrow(refused);
});

it("the corpus has far more than 60 addresses", () => {
  const all = Object.values(corpus).flat();
  expect(new Set(all).size).toBe(all.length);
  expect(all.length).toBeGreaterThan(120);
});

it.each([
  ["https://example.com/", "https://example.com/"],
  ["https://example.com", "https://example.com/"],
  ["HTTPS://Example.COM:443/Hooks?a=1&b=2", "https://example.com/Hooks?a=1&b=2"],
  ["https://hooks.example.co.uk/weir/%E2%9C%93", "https://hooks.example.co.uk/weir/%E2%9C%93"],
  ["https://xn--exmple-cua.com/", "https://xn--exmple-cua.com/"],
  ["https://example.xn--p1ai/", "https://example.xn--p1ai/"],
  ["https://my-app.workers.dev/in", "https://my-app.workers.dev/in"],
  ["https://other.weir.example.com/", "https://other.weir.example.com/"],
  ["https://weir.example.com.evil.com/", "https://weir.example.com.evil.com/"],
  ["https://123.example.com/", "https://123.example.com/"],
  ["https://v1-2-3.example.com/", "https://v1-2-3.example.com/"],
  ["https://localhost.com/", "https://localhost.com/"],
  ["https://internal.example.com/", "https://internal.example.com/"],
  ["https://local.example.com/a/../b", "https://local.example.com/b"],
  ["https://hooks.slack.com/services/T0/B0/x", "https://hooks.slack.com/services/T0/B0/x"],
  ["https://example.com/?next=https://127.0.0.1/", "https://example.com/?next=https://127.0.0.1/"],
  ["https://example.com/user@127.0.0.1", "https://example.com/user@127.0.0.1"],
])("a public address is accepted: %s", (address, form) => {
  expect(checkedCallbackUrl(address, deployed)).toBe(form);
});

describe("where this machine is open for development", () => {
  it.each(["http://127.0.0.1:9000/hook", "http://localhost:3000/", "https://[::1]:8443/", "http://a.localhost/"])(
    "%s is accepted there alone",
    (address) => {
      expect(checkedCallbackUrl(address, development)).toBe(address);
      expect(() => checkedCallbackUrl(address, deployed)).toThrow(refused);
    },
  );

  it.each([
    "http://127.0.0.1:8787/hooks/trg_1",
    "http://0x7f.1:9000/",
    "http://2130706433:9000/",
    "http://[::ffff:127.0.0.1]:9000/",
    "http://user@127.0.0.1:9000/",
    "http://10.0.0.1:9000/",
    "http://example.com/",
    "https://example.com:8443/",
    "https://169.254.169.254/",
  ])("%s is refused all the same", (address) => {
    expect(() => checkedCallbackUrl(address, development)).toThrow(refused);
  });
});
