// Which of its designed states the page is in, from what it knows. Pure: {room, link, query, visible, now} in,
// {full, banner} out, where `full` stands in place of the list and `banner` above it; null where there is none.

const LOST_AFTER_MS = 1_000; // a reconnect that takes less is not worth a host's glance
const FEED_LOST_AFTER_MS = 3_000;

/** `now` is performance.now(); `visible` how many rows the list would show. */
export function situation({ room, link, query, visible, now }) {
  if (link.phase === "forbidden" || link.phase === "unknown_room") return { full: link.phase, banner: null };
  if (!room.loaded) return { full: link.failures > 0 ? "broken" : "loading", banner: null };
  return { full: visible > 0 ? null : emptiness(room, query), banner: banner(room, link, now) };
}

function emptiness(room, query) {
  if (query !== "") return "no_match";
  return { before: "before", ended: "ended", live: "empty" }[room.stage];
}

function banner(room, link, now) {
  if (link.phase !== "live" && (link.failures > 1 || now - link.lostAt > LOST_AFTER_MS)) return "lost";
  const feeds = room.state?.feeds ?? [];
  // One feed that works is enough for the room to be served; the others are told in the state line.
  if (room.stage !== "ended" && feeds.every((feed) => feed.state !== "connected")) {
    if (feeds.some((feed) => feed.state === "refused")) return "feed_refused";
    if (feeds.some((feed) => feed.state === "waiting" && room.now() - feed.since > FEED_LOST_AFTER_MS)) return "feed_waiting";
  }
  if (room.quietMinutes() > 0) return "quiet";
  return room.stage === "ended" ? "ended" : null;
}
