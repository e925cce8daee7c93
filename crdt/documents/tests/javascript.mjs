// The other side of tests/javascript.rs: Automerge's JavaScript package, told what to do by lines of JSON.
//
// usage: node javascript.mjs FOLDER_WITH_NODE_MODULES

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const Automerge = createRequire(process.argv[2] + "/")("@automerge/automerge");
const hexadecimal = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "hex"));
const text = (value) => new Automerge.ImmutableString(value);
const plain = (value) => (value instanceof Automerge.ImmutableString ? value.val : value);

const view = (document) => ({
  heads: Automerge.getHeads(document).toSorted(),
  name: plain(document.name) ?? null,
  icon: plain(document.icon) ?? null,
  description: document.description,
  pinned: Object.keys(document.pinned).toSorted(),
  settings: Object.fromEntries(Object.entries(document.settings).map(([key, value]) => [key, plain(value)])),
});

// Loads a document, changes it so often under an actor, each time a little differently, and gives back the changes.
function change({ document: given, actor, times, seed }) {
  let document = Automerge.load(bytes(given), { actor });
  const before = Automerge.getHeads(document);
  for (let round = 0; round < times; round++) {
    const turn = seed + round;
    document = Automerge.change(document, (draft) => {
      const length = draft.description.length;
      if (turn % 5 === 0) draft.name = text(`name ${turn}`);
      if (turn % 5 === 1) draft.pinned[`m${turn % 7}`] = true;
      if (turn % 5 === 2) delete draft.pinned[`m${turn % 7}`];
      if (turn % 5 === 3) draft.settings[`s${turn % 3}`] = text(`${turn}`);
      Automerge.splice(draft, ["description"], turn % (length + 1), turn % 3 === 0 && turn % (length + 1) < length ? 1 : 0, "aé🙂".slice(0, turn % 3));
      draft.icon = text(`icon ${turn}`);
    });
  }
  return { changes: Automerge.getChanges(Automerge.view(document, before), document).map(hexadecimal), view: view(document) };
}

// What a document reads as, and whether it is the same after it was saved and loaded.
function look({ document: given }) {
  const document = Automerge.load(bytes(given));
  const again = Automerge.load(Automerge.save(document));
  return { view: view(document), again: view(again), changes: Automerge.getAllChanges(document).length };
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  console.log(JSON.stringify(asked.do === "change" ? change(asked) : look(asked)));
}
