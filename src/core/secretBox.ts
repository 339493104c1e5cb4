import { AppError } from "./errors.ts";

/** Where a secret belongs: sealed for one place, it opens in no other. */
export type SecretPlace = { projectId: string; recordId: string; field: string };

/** Encrypts what must be kept and never shown. */
export type SecretBox = {
  /** The text encrypted, in printable form; never twice the same. */
  seal: (text: string, place: SecretPlace) => Promise<string>;
  /** Throws `unavailable` for anything but an unchanged text sealed for this place under this key. */
  open: (sealed: string, place: SecretPlace) => Promise<string>;
};

/** Names the algorithm, so that another may follow. */
const version = "v1.";
/** NIST SP 800-38D: 96 bits, random for each message. */
const nonceBytes = 12;
const tagBits = 128;

/**
 * AES-GCM under a key of 256 bits, given in base64: `v1.` and base64url of nonce, ciphertext and tag. The place is
 * authenticated with it, so that a row copied into another project or record is of no use there.
 */
export function secretBox(encryptionKey: string): SecretBox {
  const algorithm = (nonce: Uint8Array<ArrayBuffer>, { projectId, recordId, field }: SecretPlace) => ({
    name: "AES-GCM",
    iv: nonce,
    tagLength: tagBits,
    additionalData: new TextEncoder().encode(JSON.stringify([version, projectId, recordId, field])),
  });
  const imported = () =>
    crypto.subtle.importKey("raw", fromBase64(encryptionKey), "AES-GCM", false, ["encrypt", "decrypt"]);
  return {
    async seal(text, place) {
      const nonce = crypto.getRandomValues(new Uint8Array(nonceBytes));
      const plain = new TextEncoder().encode(text);
      const cipher = new Uint8Array(await crypto.subtle.encrypt(algorithm(nonce, place), await imported(), plain));
      const whole = new Uint8Array(nonceBytes + cipher.length);
      whole.set(nonce);
      whole.set(cipher, nonceBytes);
      return version + toBase64Url(whole);
    },

    async open(sealed, place) {
      try {
        const whole = fromSealed(sealed);
        const nonce = whole.slice(0, nonceBytes);
        const key = await imported();
        const plain = await crypto.subtle.decrypt(algorithm(nonce, place), key, whole.slice(nonceBytes));
        return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(plain);
      } catch (cause) {
        throw new AppError(
          "unavailable",
          "A stored secret cannot be read: ENCRYPTION_KEY is not the one it was kept under.",
          {
            cause,
          },
        );
      }
    },
  };
}

/** Stands where no ENCRYPTION_KEY is set: nothing can be kept, nothing read. */
export const noSecretBox: SecretBox = {
  seal: () => Promise.reject(notSet()),
  open: () => Promise.reject(notSet()),
};

function notSet(): AppError {
  return new AppError("unavailable", "Secrets cannot be kept: ENCRYPTION_KEY is not set (32 random bytes in base64).");
}

function fromSealed(sealed: string): Uint8Array<ArrayBuffer> {
  const text = sealed.slice(version.length);
  const whole = fromBase64(text.replaceAll("-", "+").replaceAll("_", "/"));
  // The last character may hold bits that no byte needs: only one form of it is ours.
  if (!sealed.startsWith(version) || toBase64Url(whole) !== text) throw new Error("not a sealed secret");
  return whole;
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function toBase64Url(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
