"""A client written from docs/protocol.md alone, in another language, and a day in its life.

Usage: python_client.py URL_ALICE URL_BOB TOKEN_ALICE TOKEN_BOB [CA.PEM]

Signs in, sends, receives, sends receipts, pages, is cut, comes back and misses nothing. Prints one line of JSON at the end;
exits with 0 only if everything was as the page says. Needs the package `websockets`. Section numbers are those of the page.
"""

import asyncio
import base64
import json
import random
import secrets
import ssl
import sys
import time
import uuid

import websockets

SUBPROTOCOL = "archipelago.v1+json"
SILENCE_S = 90


def uuid7():
    """Section 4."""
    value = int(time.time() * 1000) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 7 << 76
    return str(uuid.UUID(int=value & ~(3 << 62) | 2 << 62))


def group_id(placement):
    """Section 4: a conversation's id begins with the four digits of its placement."""
    return f"c{int(placement[1:]):04x}{secrets.randbits(112):028x}"


def split_dot(dot):
    replica, number = dot.split(":")
    return replica, int(number)


def covers(cut, dot):
    replica, number = split_dot(dot)
    return cut.get(replica, 0) >= number


def join(cut, wire):
    for replica, number in map(split_dot, (wire or {}).get("dots", [])):
        cut[replica] = max(cut.get(replica, 0), number)


def place(item):
    """Section 10: the display order."""
    ms, counter = item["hlc"].split(".")
    replica, number = split_dot(item["dot"])
    region, incarnation = replica[1:].split(".")
    return (int(ms), int(counter), int(region), int(incarnation, 16), number)


class Amended:
    """Section 10: what was done to a message."""

    def __init__(self):
        self.edits = {}  # command -> (place, body), at its lowest place
        self.deleted = False
        self.given = {}  # (emoji, user) -> {command: place}
        self.withdrawn = set()  # (emoji, user, command)

    def take(self, target, item):
        user, command = item["sender"], item["message"]
        if "edited" in item and user == target[0]:
            edit = (place(item), base64.b64decode(item["edited"].get("body", "")).decode())
            self.edits[command] = min(edit, self.edits.get(command, edit))
        elif "deleted" in item and user == target[0]:
            self.deleted = True
        elif "reacted" in item:
            given = self.given.setdefault((item["reacted"]["emoji"], user), {})
            given[command] = min(place(item), given.get(command, place(item)))
        elif "withdrawn" in item:
            emoji = item["withdrawn"]["emoji"]
            self.withdrawn |= {(emoji, user, command) for command in item["withdrawn"]["seen"]}
        if self.deleted:
            self.edits, self.given = {}, {}

    def text(self):
        return max(self.edits.values())[1] if self.edits else None

    def reactions(self):
        began, users = {}, {}
        for (emoji, user), commands in self.given.items():
            left = [at for command, at in commands.items() if (emoji, user, command) not in self.withdrawn]
            if left:
                began[emoji] = min(left + [began.get(emoji, min(left))])
                users.setdefault(emoji, []).append(user)
        return [(emoji, sorted(users[emoji])) for emoji in sorted(began, key=began.get)][:20]


class Conversation:
    def __init__(self):
        self.cursor = None
        self.member = None  # as the region told last
        self.live = False
        self.given = {}
        self.hidden = {}  # what each membership that none behind it ended hides, by the dot that began it
        self.shown = {}  # (sender, message) -> item, at its lowest place
        self.arrived = []  # the same identities in the order shown
        self.marked = {}
        self.own = {}  # message -> dots
        self.amended = {}  # (sender, message) -> Amended
        self.stable = {}
        self.receipts = {}  # (user, device) -> (delivered, read)
        self.unacknowledged = 0

    def begin(self, dot, since):
        if not any(covers(later, dot) for later in self.hidden.values()):
            self.hidden = {earlier: hides for earlier, hides in self.hidden.items() if not covers(since, earlier)}
            self.hidden[dot] = since


class Client:
    def __init__(self, url, token, tls=None):
        self.url, self.token, self.tls = url, token, tls
        self.user = self.device = None
        self.conversations = {}
        self.outbox = []  # dicts: conversation, command, frame, dots; in order
        self.acknowledged = []  # commands, once each
        self.refused = []
        self.answers = {}  # request -> future, of questions
        self.sent = {}  # request -> outbox entry, of this connection
        self.request = 0
        self.socket = None
        self.welcome = None
        self.changed = asyncio.Condition()
        self.connections = 0
        self.task = asyncio.create_task(self.run())

    def conversation(self, name):
        return self.conversations.setdefault(name, Conversation())

    # Section 6: the life of a connection.

    async def run(self):
        bound = 1.0
        while True:
            try:
                async with websockets.connect(
                    self.url, subprotocols=[SUBPROTOCOL], ssl=self.tls, max_size=None
                ) as socket:
                    assert socket.subprotocol == SUBPROTOCOL
                    self.socket, self.request, self.sent = socket, 0, {}
                    hello = {"token": self.token, "versionMin": 1, "versionMax": 1, "client": "python from the page"}
                    await self.send_frame({"hello": hello})
                    heart = asyncio.create_task(self.beat())
                    try:
                        while True:
                            frame = json.loads(await asyncio.wait_for(socket.recv(), SILENCE_S))
                            if "welcome" in frame:
                                bound = 1.0
                            await self.hear(frame)
                            async with self.changed:
                                self.changed.notify_all()
                    finally:
                        heart.cancel()
            except (OSError, asyncio.TimeoutError, websockets.WebSocketException):
                pass
            self.socket = self.welcome = None
            for conversation in self.conversations.values():
                conversation.live = False
            await asyncio.sleep(random.uniform(0, bound))
            bound = min(bound * 2, 64.0)

    async def beat(self):
        while True:
            await asyncio.sleep(self.welcome.get("heartbeatMs", 30000) / 1000 if self.welcome else 5)
            if self.welcome:
                await self.send_frame({"ping": {}})

    async def send_frame(self, body):
        self.request += 1
        request = str(self.request)
        await self.socket.send(json.dumps({"request": request, **body}))
        return request

    async def hear(self, frame):
        request = frame.get("request", "0")
        if "welcome" in frame:
            await self.signed_in(frame["welcome"])
        elif "done" in frame:
            await self.done(request, frame["done"])
        elif "deliver" in frame:
            await self.deliver(frame["deliver"])
        elif "caughtUp" in frame:
            self.conversation(frame["caughtUp"]["conversation"]).live = True
        elif "stable" in frame:
            name = frame["stable"]["conversation"]
            join(self.conversation(name).stable, frame["stable"].get("cut"))
            self.drop_stable(name)
        elif "receipts" in frame:
            self.take_receipts(frame["receipts"])
            self.answer(request, frame["receipts"])
        elif "membership" in frame:
            change = frame["membership"]
            self.conversation(change["conversation"]).member = change.get("member", False)
        elif "behind" in frame:
            await asyncio.sleep(1)
            await self.sync(frame["behind"]["conversations"])
        elif "error" in frame:
            await self.error(request, frame["error"])
        elif "messages" in frame or "conversations" in frame:
            self.answer(request, frame.get("messages") or frame.get("conversations"))
        # Anything else is ignored: section 3.

    async def signed_in(self, welcome):
        self.welcome = welcome
        self.connections += 1
        self.user, self.device = welcome["user"], welcome["device"]
        for conversation in self.conversations.values():
            conversation.stable = {}
        await self.sync([])
        for entry in self.outbox:
            entry["answered"] = entry["flying"] = False
            entry["dots"] = []
        await self.send_ready()

    # Sections 7 and 8: commands and the outbox.

    async def command(self, conversation, kind, body, key="command"):
        command = uuid7()
        frame = {kind: {**body, key: command}}
        entry = {"conversation": conversation, "command": command, "frame": frame, "dots": []}
        self.outbox.append({**entry, "answered": False, "flying": False})
        await self.send_ready()
        return command

    async def send(self, conversation, text):
        body = {
            "conversation": conversation,
            "body": base64.b64encode(text.encode()).decode(),
            "sentAtMs": str(int(time.time() * 1000)),
        }
        cursor = self.conversation(conversation).cursor
        if cursor:
            body["seen"] = cursor
        return await self.command(conversation, "send", body, key="message")

    async def send_ready(self):
        if not self.welcome:
            return
        busy = {entry["conversation"] for entry in self.outbox if entry["flying"]}
        for entry in list(self.outbox):
            if entry["answered"] or entry["conversation"] in busy:
                continue
            busy.add(entry["conversation"])
            entry["flying"] = True
            try:
                self.sent[await self.send_frame(entry["frame"])] = entry
            except websockets.ConnectionClosed:
                return

    async def done(self, request, done):
        entry = self.sent.pop(request, None)
        if entry:
            entry["answered"], entry["flying"] = True, False
            if "dot" in done:
                self.stands(entry["conversation"], entry["command"], done["dot"])
            elif entry["command"] not in self.acknowledged:
                self.acknowledge_once(entry["command"])
                self.outbox.remove(entry)
            await self.send_ready()

    def stands(self, name, command, dot):
        for entry in self.outbox:
            if entry["command"] == command and dot not in entry["dots"]:
                entry["dots"].append(dot)
                self.acknowledge_once(command)
        self.drop_stable(name)

    def acknowledge_once(self, command):
        if command not in self.acknowledged:
            self.acknowledged.append(command)

    def drop_stable(self, name):
        stable = self.conversation(name).stable
        is_stable = lambda e: e["conversation"] == name and any(covers(stable, dot) for dot in e["dots"])
        self.outbox = [entry for entry in self.outbox if not is_stable(entry)]

    async def error(self, request, error):
        entry = self.sent.pop(request, None)
        if entry is None:
            future = self.answers.pop(request, None)
            if future:
                future.set_exception(RuntimeError(error["code"]))
            return
        entry["flying"] = False
        if error.get("temporary"):
            await asyncio.sleep(int(error.get("retryAfterMs", "1000")) / 1000)
        else:
            entry["answered"] = True
            if entry["command"] not in self.acknowledged:
                self.outbox.remove(entry)
                self.refused.append((entry["command"], error["code"]))
        await self.send_ready()

    # Section 9: delivery.

    async def sync(self, names):
        wanted = names or self.conversations
        cursors = [self.conversations[name].cursor for name in wanted if name in self.conversations]
        body = {"cursors": [cursor for cursor in cursors if cursor]}
        if names:
            body["conversations"] = names
        await self.send_frame({"sync": body})

    async def deliver(self, deliver):
        conversation = self.conversation(deliver["conversation"])
        for item in deliver.get("items", []):
            self.show(deliver["conversation"], conversation, item)
            conversation.unacknowledged += 1
        conversation.cursor = deliver["cursor"]
        settled = [key for key, seen in conversation.marked.items() if self.settles(conversation, seen)]
        for key in settled:
            del conversation.marked[key]
        if not conversation.live or conversation.unacknowledged >= 100:
            await self.acknowledge(conversation)
        elif conversation.unacknowledged == len(deliver.get("items", [])):
            asyncio.get_running_loop().call_later(1, lambda: asyncio.ensure_future(self.acknowledge(conversation)))

    async def acknowledge(self, conversation):
        if self.welcome and conversation.unacknowledged:
            conversation.unacknowledged = 0
            try:
                await self.send_frame({"acknowledge": {"cursor": conversation.cursor}})
            except websockets.ConnectionClosed:
                pass

    # Section 10: showing.

    def show(self, name, conversation, item):
        join(conversation.given, {"dots": [item["dot"]]})
        key = (item["sender"], item["message"])
        for done in ("edited", "deleted", "reacted", "withdrawn"):
            if done in item:
                target = (item[done]["target"]["sender"], item[done]["target"]["message"])
                conversation.amended.setdefault(target, Amended()).take(target, item)
        if self.user in item.get("created", {}).get("members", []):
            conversation.begin(item["dot"], {})
        if item.get("added", {}).get("user") == self.user:
            since = {}
            join(since, item["added"].get("since"))
            conversation.begin(item["dot"], since)
        if item["sender"] == self.user:
            if "post" in item:
                conversation.own.setdefault(item["message"], set()).add(item["dot"])
            self.stands(name, item["message"], item["dot"])
        if key in conversation.shown:
            if place(item) < place(conversation.shown[key]):
                conversation.shown[key] = item
            return
        conversation.shown[key] = item
        conversation.arrived.append(key)
        seen = item.get("post", item.get("edited", {})).get("seen")
        if seen and not self.settles(conversation, seen):
            conversation.marked[key] = seen

    def settles(self, conversation, seen):
        first = any(not since for since in conversation.hidden.values())
        hidden = lambda dot: not first and any(covers(since, dot) for since in conversation.hidden.values())
        return all(covers(conversation.given, dot) or hidden(dot) for dot in seen.get("dots", []))

    def texts(self, name):
        conversation = self.conversation(name)
        items = sorted(conversation.shown.values(), key=place)
        return [self.text(conversation, item) for item in items if "post" in item]

    def text(self, conversation, item):
        amended = conversation.amended.get((item["sender"], item["message"]), Amended())
        if amended.deleted or item["post"].get("deleted"):
            return "(deleted)"
        edited = amended.text()
        return base64.b64decode(item["post"].get("body", "")).decode() if edited is None else edited

    # Section 11: ticks.

    async def read(self, name):
        conversation = self.conversation(name)
        conversation.unacknowledged = 0
        await self.send_frame({"read": {"cursor": conversation.cursor}})

    def take_receipts(self, receipts):
        conversation = self.conversation(receipts["conversation"])
        for receipt in receipts.get("receipts", []):
            pair = conversation.receipts.setdefault((receipt["user"], receipt["device"]), ({}, {}))
            join(pair[0], receipt.get("delivered"))
            join(pair[1], receipt.get("read"))

    def ticked(self, name, message, read):
        conversation = self.conversation(name)
        dots = set(conversation.own.get(message, ()))
        others = [pair for (user, _), pair in conversation.receipts.items() if user != self.user]
        return any(covers(pair[1 if read else 0], dot) for pair in others for dot in dots)

    # Section 12: questions.

    async def ask(self, body):
        future = asyncio.get_running_loop().create_future()
        request = await self.send_frame(body)
        self.answers[request] = future
        return await asyncio.wait_for(future, 20)

    def answer(self, request, body):
        future = self.answers.pop(request, None)
        if future and not future.done():
            future.set_result(body)

    # For the day below.

    async def until(self, what, holds, seconds=40):
        async def wait():
            async with self.changed:
                await self.changed.wait_for(holds)

        try:
            await asyncio.wait_for(wait(), seconds)
        except asyncio.TimeoutError:
            raise AssertionError(f"{what}: did not come within {seconds} s") from None

    def cut(self):
        """The network fails: no close frame, nothing is flushed."""
        self.socket.transport.abort()


def before_all(client, name):
    """The place of the first item, which begins the conversation: pages hold messages alone."""
    first = min(client.conversation(name).shown.values(), key=place)
    return {"hlc": first["hlc"], "dot": first["dot"]}


async def a_day(url_alice, url_bob, token_alice, token_bob, tls):
    alice, bob = Client(url_alice, token_alice, tls), Client(url_bob, token_bob, tls)
    await alice.until("alice's welcome", lambda: alice.welcome)
    await bob.until("bob's welcome", lambda: bob.welcome)
    placement = alice.welcome["placements"][0]["id"]

    # A group begins, and three messages cross it.
    group = group_id(placement)
    body = {"conversation": group, "members": [bob.user], "name": "picnic"}
    await alice.command(group, "createGroup", body)
    said = ["shall we?", "tomorrow", "by the lake"]
    sent = [await alice.send(group, text) for text in said]
    await bob.until("the messages at bob's", lambda: bob.texts(group) == said)
    assert {sender for sender, _ in bob.conversation(group).shown} == {alice.user}
    await alice.until("one tick each", lambda: all(message in alice.acknowledged for message in sent))
    await alice.until("stable, so the outbox is empty", lambda: not alice.outbox)

    # Receipts: bob's device has them, then bob reads them.
    await alice.until("delivered", lambda: all(alice.ticked(group, message, False) for message in sent))
    assert not alice.ticked(group, sent[2], True)
    await bob.read(group)
    await alice.until("read", lambda: all(alice.ticked(group, message, True) for message in sent))
    everything = await alice.ask({"getReceipts": {"conversation": group}})
    assert any(receipt["user"] == bob.user for receipt in everything["receipts"])

    # Lists and pages.
    listed = await bob.ask({"list": {}})
    summary = next(summary for summary in listed["conversations"] if summary["conversation"] == group)
    assert summary["name"] == "picnic" and summary.get("unread", "0") == "0", summary
    page = await bob.ask({"page": {"conversation": group, "limit": 2}})
    newest = [base64.b64decode(item["post"]["body"]).decode() for item in page["items"]]
    assert newest == said[1:] and page["more"], page
    first = page["items"][0]
    before = {"hlc": first["hlc"], "dot": first["dot"]}
    page = await bob.ask({"page": {"conversation": group, "before": before, "limit": 50}})
    assert [base64.b64decode(item["post"]["body"]).decode() for item in page["items"]] == said[:1], page

    # The same id sent again is the same message.
    again = {"send": {"conversation": group, "message": sent[0], "body": base64.b64encode(said[0].encode()).decode()}}
    await alice.send_frame(again)

    # Bob is cut while alice goes on, and writes something himself before he is back.
    bob.cut()
    missed = [f"missed {number}" for number in range(250)]
    for text in missed:
        await alice.send(group, text)
    from_bob = [f"from the dark {number}" for number in range(5)]
    for text in from_bob:
        await bob.send(group, text)
    total = len(said) + len(missed) + len(from_bob)
    await bob.until("all that bob missed", lambda: len(bob.texts(group)) == total)
    await alice.until("what bob wrote in the dark", lambda: len(alice.texts(group)) == total)
    assert bob.connections >= 2
    for client in (alice, bob):
        await client.until("everything is stable", lambda: not client.outbox, 60)
        arrived = [client.conversation(group).shown[key] for key in client.conversation(group).arrived]
        texts = [base64.b64decode(item["post"]["body"]).decode() for item in arrived if "post" in item]
        assert [text for text in texts if text in missed] == missed, "alice's messages come in the order sent"
        assert [text for text in texts if text in from_bob] == from_bob, "bob's messages come in the order sent"
        assert len(texts) == len(set(texts)) == total, "each is shown once"
        assert not client.refused and not client.conversation(group).marked
    assert alice.texts(group) == bob.texts(group), "one display order"

    # Edits, reactions and deletions: at both, whoever did it where, and in pages too.
    reference = lambda sender, message: {"conversation": group, "target": {"sender": sender, "message": message}}
    mine = reference(alice.user, sent[0])
    await alice.command(group, "edit", {**mine, "body": base64.b64encode(b"shall we, today?").decode()})
    await bob.command(group, "react", {**mine, "emoji": "👍"})
    await alice.command(group, "react", {**mine, "emoji": "❤"})
    liked = lambda client: dict(client.conversation(group).amended[(alice.user, sent[0])].reactions())
    everybody = {"👍": [bob.user], "❤": [alice.user]}
    amended = lambda client: (alice.user, sent[0]) in client.conversation(group).amended
    for client in (alice, bob):
        await client.until("the edit", lambda: client.texts(group)[0] == "shall we, today?")
        await client.until("the reactions", lambda: amended(client) and liked(client) == everybody)
    await bob.command(group, "react", {**mine, "emoji": "👍", "withdraw": True})
    await alice.until("one reaction less", lambda: liked(alice) == {"❤": [alice.user]})
    await alice.command(group, "delete", reference(alice.user, sent[1]))
    for client in (alice, bob):
        await client.until("the deletion", lambda: client.texts(group)[1] == "(deleted)")
        page = await client.ask({"page": {"conversation": group, "after": before_all(client, group), "limit": 3}})
        first, second = (item["post"] for item in page["items"][:2])
        assert base64.b64decode(first["body"]).decode() == "shall we, today?" and first["edited"], page
        assert [(it["emoji"], it["count"]) for it in first["reactions"]] == [("❤", 1)], page
        assert second["deleted"] and "body" not in second, page
    refused = await bob.command(group, "delete", mine)
    await bob.until("a refusal", lambda: (refused, "not_the_sender") in bob.refused)
    refused = await bob.command(group, "react", {**mine, "emoji": "no emoji"})
    await bob.until("a refusal", lambda: (refused, "not_an_emoji") in bob.refused)

    # Who is in the group: alice is its admin, so bob changes nothing. Removed, he is told so, is given nothing more, and posts nothing.
    whom = {"conversation": group, "user": bob.user}
    refused = await bob.command(group, "promote", whom)
    await bob.until("a refusal", lambda: (refused, "not_an_admin") in bob.refused)
    await alice.command(group, "removeMember", whom)
    await bob.until("bob is told", lambda: bob.conversation(group).member is False)
    refused = await bob.send(group, "may I?")
    await bob.until("a refusal", lambda: (refused, "not_a_member") in bob.refused)
    await alice.send(group, "behind his back")
    await alice.command(group, "addMember", whom)
    await alice.command(group, "promote", whom)
    await alice.send(group, "welcome back")
    await bob.until("what came after", lambda: bob.texts(group)[-1] == "welcome back")
    assert "behind his back" not in bob.texts(group)
    listed = await bob.ask({"list": {}})
    summary = next(summary for summary in listed["conversations"] if summary["conversation"] == group)
    assert summary["admins"] == sorted([alice.user, bob.user]), summary

    # A refusal has a stable code and changes nothing.
    nowhere = group_id(placement)
    refused = await bob.send(nowhere, "anybody?")
    await bob.until("a refusal", lambda: (refused, "unknown_conversation") in bob.refused)
    print(json.dumps({"ok": True, "messages": total, "connections_of_bob": bob.connections}))
    for client in (alice, bob):
        client.task.cancel()


def main():
    url_alice, url_bob, token_alice, token_bob, *authority = sys.argv[1:]
    tls = None
    if authority and url_alice.startswith("wss://"):
        tls = ssl.create_default_context(cafile=authority[0])
    asyncio.run(a_day(url_alice, url_bob, token_alice, token_bob, tls))


if __name__ == "__main__":
    main()
