/* Who says the same: what was said in all broadcasts, as _Talks in frontrow/core/crowd.py holds it in dictionaries.

   Four tables: broadcasts, viewers and lines by broadcast, and near halves by broadcast. Each is an array of entries, found by open
   addressing, whose places stay as they are while an entry is in use: a line's speakers are places of viewers. An entry has the number of
   the generation in which it was heard last, so that to be heard again moves nothing; the order in which entries came to a generation, which the
   state tells, is a list of places. Entries go all at once, by sweep(): when a generation passes, and when half of all belong to
   broadcasts that were forgotten. Whoever is no longer known and still a line's speaker stays with the name alone.

   Python's code runs nowhere while tables change: texts are str itself, numbers int, and no object is made. */

#include "kernel.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

enum { YOUNG, OLD, GENERATIONS };
enum { MOST_LINES = 8, MOST_SPEAKERS = 4096, MOST_CHANCES = 65536, MOST_BITS = 31 };
enum { FEW_LINES = 3, FEW = 4 }; /* lines and speakers that an entry has itself: most have no more */
enum { SLOTS_AHEAD = 24, ENTRIES_AHEAD = 16, NAMES_AHEAD = 6, SPEAKERS_AHEAD = 8, CACHE_LINE = 64 };
#define NOTHING UINT32_MAX /* no place */
#define FREE UINT32_MAX /* an entry's broadcast, where it is no entry */
#define FORGOTTEN (UINT32_MAX - 1) /* in front of a broadcast's number: it is over, and what it has is not yet swept */

typedef struct {
    uint32_t hash; /* of a free entry: the next free one */
    uint32_t session; /* the broadcast's place; of a broadcast: the high bits of its number */
    uint32_t key; /* the line, the near half, the low bits of a number or of a name's hash */
    uint32_t generation; /* in which it was heard last; 0 of viewers who are known as speakers alone */
} Head;

typedef struct {
    Head head;
    int64_t said;
    int64_t young; /* viewers and lines of the young generation */
    uint64_t since; /* counts up: broadcasts are told in this order */
    uint32_t held; /* entries of the other tables */
} Session;

typedef struct {
    uint32_t line, times;
} Said;

typedef struct {
    Head head;
    PyObject *name;
    uint32_t spoke; /* how many places of lines name this one */
    uint32_t met; /* the number of the judgement that has met this one */
    uint32_t count, room;
    union {
        Said few[FEW_LINES];
        Said *more; /* where room > FEW_LINES */
    } said; /* the line that was first said first */
} Viewer;

typedef struct {
    Head head;
    int64_t times;
    union {
        uint32_t few[FEW];
        uint32_t *more; /* where room > FEW */
    } speakers; /* viewers' places, the latest last */
    uint32_t count, room;
} Line;

typedef struct {
    Head head;
    uint32_t line;
} Near;

typedef struct {
    uint32_t hash, place; /* the place + 1; 0: empty */
} Slot;

typedef struct {
    uint32_t *places, count, room;
} List;

typedef struct {
    char *entries;
    size_t width;
    uint32_t end, room, first_free, used;
    Slot *slots;
    uint32_t mask; /* twice as many slots as entries at least */
    List order[GENERATIONS]; /* what has come to a generation; of the old one some may have gone on */
} Table;

enum { SESSIONS, VIEWERS, LINES, NEAR, TABLES };
static const size_t widths[TABLES] = {sizeof(Session), sizeof(Viewer), sizeof(Line), sizeof(Near)};

typedef struct {
    PyObject_HEAD
    Table tables[TABLES];
    uint64_t seed, since;
    uint32_t now; /* the number of the young generation; the one before is the old one */
    uint32_t judged, dead; /* dead: entries of broadcasts that were forgotten, not yet swept */
    int64_t young, generation;
    int bits, reading;
    uint32_t most_lines, most_speakers;
    double share, *ways, *chances; /* by count; ways: in how many it has a share */
    Py_ssize_t counts;
} Talks;

/* ---------------------------------------------------------------------- tables */

static inline Head *head_at(const Table *table, uint32_t place)
{
    return (Head *)(table->entries + place * table->width);
}

#define SESSION_AT(self, place) ((Session *)head_at(&(self)->tables[SESSIONS], place))
#define VIEWER_AT(self, place) ((Viewer *)head_at(&(self)->tables[VIEWERS], place))
#define LINE_AT(self, place) ((Line *)head_at(&(self)->tables[LINES], place))
#define NEAR_AT(self, place) ((Near *)head_at(&(self)->tables[NEAR], place))

/* Seeded as texts' hashes are: nobody outside can choose lines that meet. */
static inline uint32_t mixed(const Talks *self, uint64_t key, uint32_t session)
{
    key = (key ^ self->seed) + session * UINT64_C(0x9E3779B97F4A7C15);
    key = (key ^ (key >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    key = (key ^ (key >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (uint32_t)(key >> 32);
}

static inline int is_same(PyObject *one, PyObject *other)
{
    return one == other ||
           (PyUnicode_GET_LENGTH(one) == PyUnicode_GET_LENGTH(other) && PyUnicode_KIND(one) == PyUnicode_KIND(other) &&
            memcmp(PyUnicode_DATA(one), PyUnicode_DATA(other), (size_t)PyUnicode_GET_LENGTH(one) * PyUnicode_KIND(one)) == 0);
}

/* The place of an entry, or NOTHING. `name` is asked of viewers alone. */
static inline uint32_t find(const Table *table, uint32_t hash, uint32_t session, uint32_t key, PyObject *name)
{
    for (uint32_t i = hash & table->mask; table->slots[i].place; i = (i + 1) & table->mask) {
        if (table->slots[i].hash == hash) {
            const Head *head = head_at(table, table->slots[i].place - 1);

            if (head->session == session && head->key == key && (name == NULL || is_same(((const Viewer *)head)->name, name))) {
                return table->slots[i].place - 1;
            }
        }
    }
    return NOTHING;
}

static inline void put_slot(Table *table, uint32_t hash, uint32_t place)
{
    uint32_t i = hash & table->mask;

    while (table->slots[i].place) {
        i = (i + 1) & table->mask;
    }
    table->slots[i] = (Slot){hash, place + 1};
}

static void fill_slots(Table *table)
{
    for (uint32_t place = 0; place < table->end; place++) {
        const Head *head = head_at(table, place);

        if (head->session != FREE) {
            put_slot(table, head->hash, place);
        }
    }
}

/* Have so many slots, a power of two; 0, or -1 without an exception, and the slots are those before. */
static int set_slots(Table *table, size_t count)
{
    Slot *slots = PyMem_Calloc(count, sizeof(Slot));

    if (slots == NULL) {
        return -1;
    }
    PyMem_Free(table->slots);
    table->slots = slots;
    table->mask = (uint32_t)(count - 1);
    fill_slots(table);
    return 0;
}

static int resize(void *array, uint32_t *room, size_t wanted, size_t width)
{
    void **its = array, *grown = wanted >= FORGOTTEN / 4 ? NULL : PyMem_Realloc(*its, wanted * width);

    if (grown == NULL) {
        return -1;
    }
    *its = grown;
    *room = (uint32_t)wanted;
    return 0;
}

static int append(List *list, uint32_t place)
{
    if (list->count == list->room && resize(&list->places, &list->room, 2 * (size_t)list->room + 16, sizeof(uint32_t)) < 0) {
        PyErr_NoMemory();
        return -1;
    }
    list->places[list->count++] = place;
    return 0;
}

/* Let one more entry come to the young generation, whatever comes; 0, or -1 with an exception. */
static int make_room(Table *table)
{
    List *order = &table->order[YOUNG];

    if ((table->first_free == NOTHING && table->end == table->room &&
         resize(&table->entries, &table->room, table->room + (size_t)table->room / 4 + 16, table->width) < 0) ||
        (table->used >= table->mask / 2 && set_slots(table, 2 * ((size_t)table->mask + 1)) < 0) ||
        (order->count == order->room && resize(&order->places, &order->room, 2 * (size_t)order->room + 16, sizeof(uint32_t)) < 0)) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

/* A new entry of no generation, all zero behind its head. There is room for it. */
static uint32_t add(Talks *self, int which, uint32_t hash, uint32_t session, uint32_t key)
{
    Table *table = &self->tables[which];
    uint32_t place = table->first_free;
    Head *head;

    if (place == NOTHING) {
        place = table->end++;
    } else {
        table->first_free = head_at(table, place)->hash;
    }
    head = head_at(table, place);
    memset(head, 0, table->width);
    *head = (Head){hash, session, key, 0};
    table->used++;
    put_slot(table, hash, place);
    if (which != SESSIONS) {
        SESSION_AT(self, session)->held++;
    }
    return place;
}

/* Let an entry be of the young generation, which it is not. */
static inline void renew(Talks *self, int which, uint32_t place)
{
    List *order = &self->tables[which].order[YOUNG];

    head_at(&self->tables[which], place)->generation = self->now;
    order->places[order->count++] = place;
}

/* ---------------------------------------------------------------------- broadcasts, and what goes */

static uint32_t find_session(const Talks *self, int64_t number)
{
    uint32_t low = (uint32_t)number, high = (uint32_t)((uint64_t)number >> 32);

    return find(&self->tables[SESSIONS], mixed(self, low, high), high, low, NULL);
}

/* The place of a broadcast, which may be new; NOTHING with an exception. */
static uint32_t session_of(Talks *self, int64_t number)
{
    uint32_t place = find_session(self, number), low = (uint32_t)number, high = (uint32_t)((uint64_t)number >> 32);

    if (place == NOTHING && make_room(&self->tables[SESSIONS]) == 0) {
        place = add(self, SESSIONS, mixed(self, low, high), high, low);
        SESSION_AT(self, place)->since = self->since++;
    }
    return place;
}

static inline int is_live(const Talks *self, uint32_t session)
{
    return SESSION_AT(self, session)->head.session < FORGOTTEN;
}

static int64_t number_of(const Session *session)
{
    return (int64_t)((uint64_t)session->head.session << 32 | session->head.key);
}

static uint32_t *speakers_of(Line *line)
{
    return line->room > FEW ? line->speakers.more : line->speakers.few;
}

static Said *said_by(Viewer *viewer)
{
    return viewer->room > FEW_LINES ? viewer->said.more : viewer->said.few;
}

static void forget_lines(Viewer *viewer)
{
    if (viewer->room > FEW_LINES) {
        PyMem_Free(viewer->said.more);
    }
    viewer->count = viewer->room = 0;
}

static int is_kept(Talks *self, int which, uint32_t place)
{
    Head *head = head_at(&self->tables[which], place);

    if (which == SESSIONS) {
        return head->session < FORGOTTEN;
    }
    if (head->generation + 1 >= self->now && is_live(self, head->session)) {
        return 1;
    }
    if (which == VIEWERS) {
        head->generation = 0;
        forget_lines((Viewer *)head);
        return ((Viewer *)head)->spoke > 0; /* lines were swept before */
    }
    return 0;
}

static void let_go(Talks *self, int which, uint32_t place)
{
    Head *head = head_at(&self->tables[which], place);

    if (which == VIEWERS) {
        Py_DECREF(((Viewer *)head)->name); /* a str: nothing else comes of it */
    } else if (which == LINES) {
        Line *line = (Line *)head;
        uint32_t *speakers = speakers_of(line);

        for (uint32_t i = 0; i < line->count; i++) {
            VIEWER_AT(self, speakers[i])->spoke--;
        }
        if (line->room > FEW) {
            PyMem_Free(line->speakers.more);
        }
    }
    if (which != SESSIONS) {
        SESSION_AT(self, head->session)->held--;
    }
    head->session = FREE;
}

/* Have the processor fetch what is needed to let go of an entry that comes soon. */
static inline void prefetch_parts(const Talks *self, int which, uint32_t place)
{
    const Head *head = place < self->tables[which].end ? head_at(&self->tables[which], place) : NULL;

    if (head == NULL || head->session == FREE || head->generation + 1 >= self->now) {
        return;
    }
    if (which == VIEWERS) {
        __builtin_prefetch(((const Viewer *)head)->name, 1);
    } else if (which == LINES && ((const Line *)head)->count > 0 && ((const Line *)head)->room <= FEW) {
        __builtin_prefetch(&VIEWER_AT(self, ((const Line *)head)->speakers.few[0])->spoke, 1);
    }
}

/* Take out of a generation's order what has gone. */
static void tidy_order(Talks *self, int which, int generation)
{
    const Table *table = &self->tables[which];
    List *order = &self->tables[which].order[generation];
    uint32_t count = 0;

    /* As a generation passes, the other one's order is still whole if nothing was forgotten besides. */
    for (uint32_t i = self->dead ? 0 : order->count; i < order->count; i++) {
        const Head *head = order->places[i] < table->end ? head_at(table, order->places[i]) : NULL;

        /* A near half stays in the old generation too when it is heard again. */
        if (head != NULL && head->session != FREE && (which == NEAR || head->generation + (uint32_t)generation == self->now)) {
            order->places[count++] = order->places[i];
        }
    }
    if (self->dead) {
        order->count = count;
    }
    if (order->room > 4 * (size_t)order->count + 64) {
        resize(&order->places, &order->room, order->count + 16, sizeof(uint32_t));
    }
}

/* Let go of the entries of a table that are not kept; the first places are taken first again. */
static void sweep_table(Talks *self, int which)
{
    Table *table = &self->tables[which];
    uint32_t end = 0, last = NOTHING, last_within = NOTHING; /* free places so far, and before the last entry that is kept */

    memset(table->slots, 0, ((size_t)table->mask + 1) * sizeof(Slot));
    table->first_free = NOTHING;
    table->used = 0;
    for (uint32_t place = 0; place < table->end; place++) {
        Head *head = head_at(table, place);

        prefetch_parts(self, which, place + ENTRIES_AHEAD);
        if (head->session != FREE) {
            if (is_kept(self, which, place)) {
                put_slot(table, head->hash, place);
                table->used++;
                end = place + 1;
                last_within = last;
                continue;
            }
            let_go(self, which, place);
        }
        if (last == NOTHING) {
            table->first_free = place;
        } else {
            head_at(table, last)->hash = place;
        }
        last = place;
    }
    table->end = end;
    if (last_within == NOTHING) {
        table->first_free = NOTHING;
    } else {
        head_at(table, last_within)->hash = NOTHING;
    }
}

/* Let go of what is of neither generation or of no broadcast. It cannot fail: what asks for memory does it to have less. */
static void sweep(Talks *self)
{
    static const int in_turn[TABLES] = {LINES, NEAR, VIEWERS, SESSIONS};

    for (int i = 0; i < TABLES; i++) {
        Table *table = &self->tables[in_turn[i]];
        size_t slots = 64;

        sweep_table(self, in_turn[i]);
        for (int generation = 0; generation < GENERATIONS; generation++) {
            tidy_order(self, in_turn[i], generation);
        }
        if (table->room > 4 * (size_t)table->end + 64) {
            resize(&table->entries, &table->room, table->end + 16, table->width);
        }
        while (slots < 4 * (size_t)table->used) {
            slots *= 2;
        }
        if (4 * slots <= (size_t)table->mask + 1) {
            set_slots(table, slots);
        }
    }
    self->dead = 0;
}

/* Forget the older generation, and let the younger one be the older. */
static void age(Talks *self)
{
    Table *sessions = &self->tables[SESSIONS];
    const List *order = &self->tables[LINES].order[OLD];

    for (uint32_t place = 0; place < sessions->end; place++) {
        Session *session = SESSION_AT(self, place);

        if (session->head.session < FORGOTTEN) {
            if (session->young == 0) {
                session->head.session = FORGOTTEN;
                self->dead += session->held;
            }
            session->young = session->said = 0;
        }
    }
    self->young = 0;
    self->now++;
    for (int which = VIEWERS; which < TABLES; which++) {
        List *lists = self->tables[which].order, passed = lists[OLD];

        lists[OLD] = lists[YOUNG];
        lists[YOUNG] = passed;
        lists[YOUNG].count = 0;
    }
    sweep(self);
    for (uint32_t i = 0; i < order->count; i++) {
        const Line *line = LINE_AT(self, order->places[i]);

        SESSION_AT(self, line->head.session)->said += line->times;
    }
}

static int may_change(const Talks *self)
{
    if (self->reading) {
        PyErr_SetString(PyExc_RuntimeError, "the state is being read");
    }
    return !self->reading;
}

/* A whole number of an exact list, from 0 to `most`; -1 with an exception. Runs no code of Python's. */
static int64_t number_at(PyObject *list, Py_ssize_t place, int64_t most)
{
    PyObject *item = PyList_GET_ITEM(list, place);
    int over;
    long long number;

    if (!PyLong_Check(item)) {
        PyErr_SetString(PyExc_TypeError, "a whole number is wanted");
        return -1;
    }
    number = PyLong_AsLongLongAndOverflow(item, &over);
    if (over || number < 0 || number > most) {
        PyErr_SetString(PyExc_ValueError, "a number is out of bounds");
        return -1;
    }
    return number;
}

#define MOST_NUMBER (INT64_MAX >> 1) /* so that the high bits never are those of FORGOTTEN */

/* forget(sessions): those that are over. */
static PyObject *Talks_forget(Talks *self, PyObject *numbers)
{
    size_t all = 0;

    if (!PyList_Check(numbers)) {
        PyErr_SetString(PyExc_TypeError, "a list of numbers is wanted");
        return NULL;
    }
    if (!may_change(self)) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(numbers); i++) {
        if (number_at(numbers, i, MOST_NUMBER) < 0) {
            return NULL;
        }
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(numbers); i++) {
        uint32_t place = find_session(self, number_at(numbers, i, MOST_NUMBER));

        if (place != NOTHING) {
            Session *session = SESSION_AT(self, place);

            session->head.session = FORGOTTEN;
            self->young -= session->young;
            self->dead += session->held;
        }
    }
    for (int which = VIEWERS; which < TABLES; which++) {
        all += self->tables[which].used;
    }
    if (self->dead > 0 && self->dead >= all / 2) {
        sweep(self);
    }
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------- hearing */

typedef struct {
    PyObject *viewer;
    int64_t session;
    uint64_t name_hash;
    uint32_t line, near;
    uint32_t of, by_viewer, by_line, by_near; /* the broadcast's place, and hashes */
} Comment;

static int read_viewer(PyObject *viewer, uint64_t *hash)
{
    Py_hash_t found;

    if (!PyUnicode_CheckExact(viewer)) {
        PyErr_SetString(PyExc_TypeError, "a viewer is a text");
        return -1;
    }
#if PY_VERSION_HEX < 0x030C0000
    if (PyUnicode_READY(viewer) < 0) {
        return -1;
    }
#endif
    found = PyObject_Hash(viewer);
    *hash = (uint64_t)found;
    return found == -1 ? -1 : 0;
}

static int read_comments(const Talks *self, PyObject *sessions, PyObject *viewers, PyObject *sketches, Comment *comments)
{
    Py_ssize_t count = PyList_GET_SIZE(sessions);

    for (Py_ssize_t i = 0; i < count; i++) {
        Comment *comment = &comments[i];

        if (i + SLOTS_AHEAD < count) {
            __builtin_prefetch(PyList_GET_ITEM(viewers, i + SLOTS_AHEAD));
            __builtin_prefetch(PyList_GET_ITEM(sketches, i + SLOTS_AHEAD));
        }

        int64_t sketch = number_at(sketches, i, (INT64_C(1) << (2 * self->bits)) - 1);

        comment->session = number_at(sessions, i, MOST_NUMBER);
        comment->viewer = PyList_GET_ITEM(viewers, i);
        if (sketch < 0 || comment->session < 0 || read_viewer(comment->viewer, &comment->name_hash) < 0) {
            return -1;
        }
        comment->line = (uint32_t)(sketch >> self->bits);
        comment->near = (uint32_t)(sketch & ((INT64_C(1) << self->bits) - 1));
    }
    return 0;
}

static inline void prefetch_slot(const Table *table, uint32_t hash)
{
    __builtin_prefetch(&table->slots[hash & table->mask]);
}

/* The place of the first entry with a hash, or NOTHING, without looking at it. */
static inline uint32_t likely_place(const Table *table, uint32_t hash)
{
    for (uint32_t i = hash & table->mask; table->slots[i].place; i = (i + 1) & table->mask) {
        if (table->slots[i].hash == hash) {
            return table->slots[i].place - 1;
        }
    }
    return NOTHING;
}

static inline int prefetch_entry(const Table *table, uint32_t hash, int lines)
{
    uint32_t place = likely_place(table, hash);

    if (place != NOTHING) {
        for (int i = 0; i < lines; i++) {
            __builtin_prefetch((const char *)head_at(table, place) + i * CACHE_LINE, 1);
        }
    }
    return place != NOTHING;
}

/* Have the processor fetch what comments that come soon will need: the slots first, then whither these point, then the names. */
static inline void prefetch(const Talks *self, const Comment *comments, Py_ssize_t i, Py_ssize_t count)
{
    const Table *viewers = &self->tables[VIEWERS], *lines = &self->tables[LINES], *near = &self->tables[NEAR];

    if (i + SLOTS_AHEAD < count) {
        prefetch_slot(viewers, comments[i + SLOTS_AHEAD].by_viewer);
        prefetch_slot(lines, comments[i + SLOTS_AHEAD].by_line);
    }
    if (i + ENTRIES_AHEAD < count) {
        const Comment *soon = &comments[i + ENTRIES_AHEAD];

        prefetch_entry(viewers, soon->by_viewer, 2);
        if (!prefetch_entry(lines, soon->by_line, 1)) {
            prefetch_slot(near, soon->by_near);
        }
    }
    if (i + NAMES_AHEAD < count) {
        const Comment *soon = &comments[i + NAMES_AHEAD];
        uint32_t place = likely_place(viewers, soon->by_viewer);

        if (place != NOTHING) {
            __builtin_prefetch(VIEWER_AT(self, place)->name);
            __builtin_prefetch(said_by(VIEWER_AT(self, place)), 1);
        }
        if (likely_place(lines, soon->by_line) == NOTHING) {
            prefetch_entry(near, soon->by_near, 1);
        }
    }
}

/* The place of a line that nobody has said to the letter: that of the first that was nearly the same, or a new one. */
static uint32_t line_like(Talks *self, const Comment *comment)
{
    const Table *near_halves = &self->tables[NEAR];
    uint32_t hash = comment->by_near, like, line = NOTHING;
    uint32_t near = find(near_halves, hash, comment->of, comment->near, NULL);

    if (near == NOTHING) {
        near = add(self, NEAR, hash, comment->of, comment->near);
        NEAR_AT(self, near)->line = comment->line;
    }
    if (head_at(near_halves, near)->generation != self->now) {
        renew(self, NEAR, near);
    }
    like = NEAR_AT(self, near)->line;
    hash = comment->by_line;
    if (like != comment->line) {
        hash = mixed(self, like, comment->of);
        line = find(&self->tables[LINES], hash, comment->of, like, NULL);
    }
    return line == NOTHING ? add(self, LINES, hash, comment->of, like) : line;
}

static int make_speakers_room(const Talks *self, Line *line)
{
    uint32_t wanted = line->room > FEW ? 4 * line->room : 4 * FEW, *more;

    if (line->count < (line->room > FEW ? line->room : FEW) || line->count >= self->most_speakers) {
        return 0;
    }
    wanted = wanted < self->most_speakers ? wanted : self->most_speakers;
    wanted = wanted > FEW ? wanted : FEW + 1;
    more = PyMem_Realloc(line->room > FEW ? line->speakers.more : NULL, wanted * sizeof(uint32_t));
    if (more == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    if (line->room <= FEW) {
        memcpy(more, line->speakers.few, line->count * sizeof(uint32_t));
    }
    line->speakers.more = more;
    line->room = wanted;
    return 0;
}

static void add_speaker(const Talks *self, Line *line, uint32_t viewer)
{
    uint32_t *speakers = speakers_of(line);

    if (line->count == self->most_speakers) {
        VIEWER_AT(self, speakers[0])->spoke--;
        memmove(speakers, speakers + 1, --line->count * sizeof(uint32_t));
    }
    speakers[line->count++] = viewer;
    VIEWER_AT(self, viewer)->spoke++;
}

static int count_again(Said *said, uint32_t count, uint32_t line)
{
    for (uint32_t i = 0; i < count; i++) {
        if (said[i].line == line) {
            said[i].times += said[i].times < UINT32_MAX;
            return 1;
        }
    }
    return 0;
}

/* One more line behind those that were said, for which there is room, or in the place of the first. */
static void count_first(Said *said, uint32_t *count, uint32_t most, uint32_t line)
{
    if (*count == most) {
        memmove(said, said + 1, --*count * sizeof(Said));
    }
    said[(*count)++] = (Said){line, 1};
}

static int make_lines_room(const Talks *self, Viewer *viewer)
{
    Said *more;

    if (viewer->room > FEW_LINES || viewer->count < FEW_LINES || self->most_lines <= FEW_LINES) {
        return 0;
    }
    more = PyMem_Malloc(self->most_lines * sizeof(Said));
    if (more == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    memcpy(more, viewer->said.few, viewer->count * sizeof(Said));
    viewer->said.more = more;
    viewer->room = self->most_lines;
    return 0;
}

/* Take a comment, as _Talk.hear() does. Whatever fails, the tables stay whole. */
static int hear_one(Talks *self, const Comment *comment)
{
    uint32_t place, of_viewer;
    int fresh = 0;
    Viewer *viewer;
    Session *session;
    Line *line;

    for (int which = VIEWERS; which < TABLES; which++) {
        if (make_room(&self->tables[which]) < 0) {
            return -1;
        }
    }
    place = find(&self->tables[LINES], comment->by_line, comment->of, comment->line, NULL);
    if (place == NOTHING) {
        place = line_like(self, comment);
    }
    line = LINE_AT(self, place);
    if (line->head.generation != self->now) {
        renew(self, LINES, place);
        fresh++;
    }
    of_viewer = find(&self->tables[VIEWERS], comment->by_viewer, comment->of, (uint32_t)comment->name_hash, comment->viewer);
    if (of_viewer == NOTHING) {
        of_viewer = add(self, VIEWERS, comment->by_viewer, comment->of, (uint32_t)comment->name_hash);
        VIEWER_AT(self, of_viewer)->name = Py_NewRef(comment->viewer);
    }
    viewer = VIEWER_AT(self, of_viewer);
    if (viewer->head.generation != self->now) {
        renew(self, VIEWERS, of_viewer);
        fresh++;
    }
    session = SESSION_AT(self, comment->of);
    session->young += fresh;
    self->young += fresh;
    if (!count_again(said_by(viewer), viewer->count, line->head.key)) {
        if (make_speakers_room(self, line) < 0 || make_lines_room(self, viewer) < 0) {
            return -1;
        }
        count_first(said_by(viewer), &viewer->count, self->most_lines, line->head.key);
        add_speaker(self, line, of_viewer);
    }
    session->said++;
    line->times++;
    return 0;
}

static int hear_all(Talks *self, Comment *comments, Py_ssize_t count)
{
    uint32_t of = NOTHING;

    for (Py_ssize_t i = 0; i < count; i++) {
        Comment *comment = &comments[i];

        if (i == 0 || comment->session != comment[-1].session) {
            of = session_of(self, comment->session);
            if (of == NOTHING) {
                return -1;
            }
        }
        comment->of = of;
        comment->by_viewer = mixed(self, comment->name_hash, of);
        comment->by_line = mixed(self, comment->line, of);
        comment->by_near = mixed(self, comment->near, of);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        prefetch(self, comments, i, count);
        if (hear_one(self, &comments[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

/* The same list, or one in whose place of other types of text there is str itself; NULL with an exception. A new reference. */
static PyObject *as_names(PyObject *viewers)
{
    PyObject *names;
    Py_ssize_t odd = 0;

    while (odd < PyList_GET_SIZE(viewers) &&
           (PyUnicode_CheckExact(PyList_GET_ITEM(viewers, odd)) || !PyUnicode_Check(PyList_GET_ITEM(viewers, odd)))) {
        odd++;
    }
    if (odd == PyList_GET_SIZE(viewers)) {
        return Py_NewRef(viewers);
    }
    names = PyList_GetSlice(viewers, 0, PyList_GET_SIZE(viewers));
    for (; names != NULL && odd < PyList_GET_SIZE(names); odd++) {
        PyObject *name = PyList_GET_ITEM(names, odd);

        if (PyUnicode_Check(name) && !PyUnicode_CheckExact(name)) {
            name = PyUnicode_FromObject(name);
            if (name == NULL || PyList_SetItem(names, odd, name) < 0) {
                Py_CLEAR(names);
            }
        }
    }
    return names;
}

/* hear(sessions, viewers, sketches): lists of one length. Nothing of them is heard where one of them is no comment. */
static PyObject *Talks_hear(Talks *self, PyObject *args)
{
    PyObject *sessions, *viewers, *sketches;
    Comment *comments;
    Py_ssize_t count;
    int result;

    if (!PyArg_ParseTuple(args, "O!O!O!", &PyList_Type, &sessions, &PyList_Type, &viewers, &PyList_Type, &sketches)) {
        return NULL;
    }
    count = PyList_GET_SIZE(sessions);
    viewers = as_names(viewers);
    if (viewers == NULL) {
        return NULL;
    }
    if (PyList_GET_SIZE(sessions) != count || PyList_GET_SIZE(viewers) != count || PyList_GET_SIZE(sketches) != count) {
        PyErr_SetString(PyExc_ValueError, "the lists differ in length");
        Py_DECREF(viewers);
        return NULL;
    }
    if (!may_change(self)) {
        Py_DECREF(viewers);
        return NULL;
    }
    comments = PyMem_Malloc((size_t)(count ? count : 1) * sizeof(Comment));
    if (comments == NULL) {
        Py_DECREF(viewers);
        return PyErr_NoMemory();
    }
    result = read_comments(self, sessions, viewers, sketches, comments);
    if (result == 0) {
        result = hear_all(self, comments, count);
    }
    PyMem_Free(comments);
    Py_DECREF(viewers); /* where it was made here, the tables hold the names by now */
    if (result < 0) {
        return NULL;
    }
    if (self->young >= self->generation) {
        age(self);
    }
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------- judging */

/* A viewer who is judged, or whom somebody is held against. */
typedef struct {
    uint32_t count, partners[MOST_LINES];
    Said said[MOST_LINES];
} Own;

/* As _Talk.line_of(). */
static uint32_t line_of(const Talks *self, uint32_t session, uint32_t line, uint32_t half)
{
    uint32_t near;

    if (find(&self->tables[LINES], mixed(self, line, session), session, line, NULL) != NOTHING) {
        return line;
    }
    near = find(&self->tables[NEAR], mixed(self, half, session), session, half, NULL);
    return near == NOTHING ? line : NEAR_AT(self, near)->line;
}

static double chance_of(Talks *self, uint64_t total, double often)
{
    size_t place = total < (uint64_t)self->counts ? (size_t)total : (size_t)self->counts - 1;

    if (self->chances[place] < 0.0) {
        double needed = ceil(self->share * (double)place), found;

        found = self->ways[place] * pow(often, (needed > 2.0 ? needed : 2.0) - 1.0);
        self->chances[place] = found < 1.0 ? found : 1.0;
    }
    return self->chances[place];
}

/* Hold one speaker against a viewer; whether they are partners. Adds to what chance gives. */
static int is_partner(Talks *self, Own *own, Viewer *other, double often, double *by_chance)
{
    const Said *said = said_by(other);
    uint64_t total = 0, in_common = 0;
    uint32_t common = 0, places[MOST_LINES];
    double needed;

    for (uint32_t i = 0; i < other->count; i++) {
        total += said[i].times;
        for (uint32_t k = 0; k < own->count; k++) {
            if (own->said[k].line == said[i].line) {
                in_common += said[i].times;
                places[common++] = k;
                break;
            }
        }
    }
    needed = ceil(self->share * (double)total);
    needed = needed > 2.0 ? needed : 2.0;
    if ((double)total >= needed) {
        *by_chance += chance_of(self, total, often);
    }
    if (common < 2 || (double)in_common < needed) {
        return 0;
    }
    for (uint32_t i = 0; i < common; i++) {
        own->partners[places[i]]++;
    }
    return 1;
}

static void start_judgement(Talks *self)
{
    if (++self->judged == 0) { /* after four thousand million: nobody was met in the first one */
        for (uint32_t place = 0; place < self->tables[VIEWERS].end; place++) {
            VIEWER_AT(self, place)->met = 0;
        }
        self->judged = 1;
    }
    for (Py_ssize_t i = 0; i < self->counts; i++) {
        self->chances[i] = -1.0;
    }
}

static long judge(Talks *self, uint32_t session, uint32_t viewer, Own *own, Py_ssize_t least, double above, double share, double at_most)
{
    Line *popular[MOST_LINES];
    uint32_t count = 0, script = 0;
    int64_t times = 0, said = SESSION_AT(self, session)->said;
    uint64_t of_script = 0, of_all = 0;
    double often, by_chance = 0.0;
    long partners = 0;

    for (uint32_t i = 0; i < own->count; i++) {
        uint32_t line = own->said[i].line, place = find(&self->tables[LINES], mixed(self, line, session), session, line, NULL);

        if (place != NOTHING && (Py_ssize_t)LINE_AT(self, place)->count >= least) {
            popular[count++] = LINE_AT(self, place);
            times += LINE_AT(self, place)->times;
        }
    }
    if (count < 2) {
        return 0;
    }
    often = (double)times / (double)(said > 1 ? said : 1);
    often = often < at_most ? often : at_most;
    start_judgement(self);
    if (viewer != NOTHING) {
        VIEWER_AT(self, viewer)->met = self->judged;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t *speakers = speakers_of(popular[i]);

        for (uint32_t j = 0; j < popular[i]->count; j++) {
            Viewer *other = VIEWER_AT(self, speakers[j]);

            if (j + SPEAKERS_AHEAD < popular[i]->count) {
                const char *ahead = (const char *)VIEWER_AT(self, speakers[j + SPEAKERS_AHEAD]);

                __builtin_prefetch(ahead, 1);
                __builtin_prefetch(ahead + CACHE_LINE);
            }
            if (other->met != self->judged) {
                other->met = self->judged;
                if (other->head.generation != 0) {
                    partners += is_partner(self, own, other, often, &by_chance);
                }
            }
        }
    }
    if (partners < least || (double)partners < above * by_chance) {
        return 0;
    }
    for (uint32_t i = 0; i < own->count; i++) {
        of_all += own->said[i].times;
        if (2 * (Py_ssize_t)own->partners[i] >= least) {
            script++;
            of_script += own->said[i].times;
        }
    }
    return script < 2 || (double)of_script < share * (double)of_all ? 0 : partners;
}

/* partners_of(session, viewer, just_said, partners, above, share, often) -> how many, or 0 if too few

   just_said: a list of sketches; share: of what the viewer says must be the group's; often: the most that the viewer's lines count as. */
static PyObject *Talks_partners_of(Talks *self, PyObject *args)
{
    PyObject *viewer, *just_said;
    Py_ssize_t least;
    double above, share, often;
    long long number;
    uint64_t hash;
    uint32_t session, place, line;
    Own own = {0};

    if (!PyArg_ParseTuple(args, "LOO!nddd", &number, &viewer, &PyList_Type, &just_said, &least, &above, &share, &often)) {
        return NULL;
    }
    viewer = PyUnicode_Check(viewer) ? PyUnicode_FromObject(viewer) : Py_NewRef(viewer);
    if (viewer == NULL || read_viewer(viewer, &hash) < 0) {
        Py_XDECREF(viewer);
        return NULL;
    }
    session = number < 0 || number > MOST_NUMBER ? NOTHING : find_session(self, number);
    place = session == NOTHING ? NOTHING
                               : find(&self->tables[VIEWERS], mixed(self, hash, session), session, (uint32_t)hash, viewer);
    Py_DECREF(viewer);
    if (session == NOTHING) {
        return PyLong_FromLong(0);
    }
    if (place != NOTHING) {
        Viewer *its = VIEWER_AT(self, place);

        own.count = its->count;
        memcpy(own.said, said_by(its), its->count * sizeof(Said));
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(just_said); i++) {
        int64_t sketch = number_at(just_said, i, (INT64_C(1) << (2 * self->bits)) - 1);

        if (sketch < 0) {
            return NULL;
        }
        line = line_of(self, session, (uint32_t)(sketch >> self->bits), (uint32_t)(sketch & ((INT64_C(1) << self->bits) - 1)));
        if (!count_again(own.said, own.count, line)) {
            count_first(own.said, &own.count, self->most_lines, line);
        }
    }
    return PyLong_FromLong(judge(self, session, place, &own, least, above, share, often));
}

/* ---------------------------------------------------------------------- the state */

enum { NAMES, SIZES, THEIR_LINES, TIMES, VIEWER_LISTS };
enum { KEYS = VIEWER_LISTS, SPEAKER_SIZES, SPEAKERS, LINE_END };
enum { HALVES = LINE_END, LIKE, LISTS };

static int give(PyObject *list, PyObject *item)
{
    int result = item == NULL ? -1 : PyList_Append(list, item);

    Py_XDECREF(item);
    return result;
}

static int give_number(PyObject *list, int64_t number)
{
    return give(list, PyLong_FromLongLong(number));
}

static int give_viewer(PyObject **lists, Viewer *viewer)
{
    const Said *said = said_by(viewer);

    if (PyList_Append(lists[NAMES], viewer->name) < 0 || give_number(lists[SIZES], viewer->count) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < viewer->count; i++) {
        if (give_number(lists[THEIR_LINES], said[i].line) < 0 || give_number(lists[TIMES], said[i].times) < 0) {
            return -1;
        }
    }
    return 0;
}

static int give_line(const Talks *self, PyObject **lists, Line *line)
{
    const uint32_t *speakers = speakers_of(line);

    if (give_number(lists[KEYS], line->head.key) < 0 || give_number(lists[SPEAKER_SIZES], 1 + (int64_t)line->count) < 0 ||
        give_number(lists[SPEAKERS], line->times) < 0) {
        return -1;
    }
    for (uint32_t i = 0; i < line->count; i++) {
        if (PyList_Append(lists[SPEAKERS], VIEWER_AT(self, speakers[i])->name) < 0) {
            return -1;
        }
    }
    return 0;
}

/* Fill the lists of each broadcast, LISTS for each generation. */
static int give_all(Talks *self, PyObject **lists)
{
    for (int which = VIEWERS; which < TABLES; which++) {
        const Table *table = &self->tables[which];

        for (int generation = 0; generation < GENERATIONS; generation++) {
            for (uint32_t i = 0; i < table->order[generation].count; i++) {
                Head *head = head_at(table, table->order[generation].places[i]);
                PyObject **its = lists + ((size_t)head->session * GENERATIONS + (size_t)generation) * LISTS;
                int result;

                if (!is_live(self, head->session) || (which != NEAR && head->generation + (uint32_t)generation != self->now)) {
                    continue;
                }
                if (which == VIEWERS) {
                    result = give_viewer(its, (Viewer *)head);
                } else if (which == LINES) {
                    result = give_line(self, its, (Line *)head);
                } else {
                    result = give_number(its[HALVES], head->key) < 0 ? -1 : give_number(its[LIKE], ((const Near *)head)->line);
                }
                if (result < 0) {
                    return -1;
                }
            }
        }
    }
    return 0;
}

static int by_since(const void *one, const void *other)
{
    uint64_t first = (*(Session *const *)one)->since, second = (*(Session *const *)other)->since;

    return first < second ? -1 : first > second;
}

static PyObject *told(const Session *session, PyObject *const *lists)
{
    PyObject *const *young = lists, *const *old = lists + LISTS;

    return Py_BuildValue("[LL[[OOOO][OOOO]][[OOO][OOO]][[OO][OO]]]", (long long)number_of(session), (long long)session->said,
                         young[NAMES], young[SIZES], young[THEIR_LINES], young[TIMES], old[NAMES], old[SIZES], old[THEIR_LINES],
                         old[TIMES], young[KEYS], young[SPEAKER_SIZES], young[SPEAKERS], old[KEYS], old[SPEAKER_SIZES], old[SPEAKERS],
                         young[HALVES], young[LIKE], old[HALVES], old[LIKE]);
}

/* state() -> (young, talks), as _Talks.state() gives them */
static PyObject *Talks_state(Talks *self, PyObject *ignored)
{
    const Table *table = &self->tables[SESSIONS];
    size_t all = (size_t)table->end * GENERATIONS * LISTS, live = 0;
    PyObject **lists = PyMem_Calloc(all + 1, sizeof(PyObject *)), *talks, *result = NULL;
    Session **sessions = PyMem_Malloc((table->end + 1) * sizeof(Session *));

    (void)ignored;
    self->reading++; /* lists are made, so the cyclic collector may run, and with it whatever there is */
    talks = PyList_New(0);
    if (lists == NULL || sessions == NULL || talks == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (uint32_t place = 0; place < table->end; place++) {
        if (SESSION_AT(self, place)->head.session < FORGOTTEN) {
            sessions[live++] = SESSION_AT(self, place);
            for (size_t i = 0; i < GENERATIONS * LISTS; i++) {
                PyObject *list = PyList_New(0);

                if (list == NULL) {
                    goto done;
                }
                lists[(size_t)place * GENERATIONS * LISTS + i] = list;
            }
        }
    }
    if (give_all(self, lists) < 0) {
        goto done;
    }
    qsort(sessions, live, sizeof *sessions, by_since);
    for (size_t i = 0; i < live; i++) {
        size_t place = (size_t)((char *)sessions[i] - table->entries) / sizeof(Session);

        if (give(talks, told(sessions[i], lists + place * GENERATIONS * LISTS)) < 0) {
            goto done;
        }
    }
    result = Py_BuildValue("(LO)", (long long)self->young, talks);
done:
    self->reading--;
    for (size_t i = 0; lists != NULL && i < all; i++) {
        Py_XDECREF(lists[i]);
    }
    PyMem_Free(lists);
    PyMem_Free(sessions);
    Py_XDECREF(talks);
    return result;
}

/* A list within a list, of a length or (-1) of any; NULL with an exception. Borrowed. */
static PyObject *list_at(PyObject *list, Py_ssize_t place, Py_ssize_t length)
{
    PyObject *found = PyList_GET_ITEM(list, place);

    if (!PyList_Check(found) || (length >= 0 && PyList_GET_SIZE(found) != length)) {
        PyErr_SetString(PyExc_ValueError, "a list has not the length that it must have");
        return NULL;
    }
    return found;
}

/* The place of a viewer, who may be new and is of no generation then; NOTHING with an exception. */
static uint32_t load_name(Talks *self, uint32_t session, PyObject *name)
{
    uint64_t key;
    uint32_t hash, place;

    if (read_viewer(name, &key) < 0) {
        return NOTHING;
    }
    hash = mixed(self, key, session);
    place = find(&self->tables[VIEWERS], hash, session, (uint32_t)key, name);
    if (place == NOTHING && make_room(&self->tables[VIEWERS]) == 0) {
        place = add(self, VIEWERS, hash, session, (uint32_t)key);
        VIEWER_AT(self, place)->name = Py_NewRef(name);
    }
    return place;
}

/* The place of a line or a near half, which may be new; NOTHING with an exception. */
static uint32_t load_key(Talks *self, int which, uint32_t session, int64_t key)
{
    uint32_t hash = mixed(self, (uint64_t)key, session), place = find(&self->tables[which], hash, session, (uint32_t)key, NULL);

    if (place == NOTHING && make_room(&self->tables[which]) == 0) {
        place = add(self, which, hash, session, (uint32_t)key);
    }
    return place;
}

/* Let a new entry be of a generation; 0, or -1 with an exception. */
static int load_order(Talks *self, int which, uint32_t place, int generation)
{
    Head *head = head_at(&self->tables[which], place);

    if (head->generation != 0 && !(which == NEAR && generation == YOUNG && head->generation != self->now)) {
        PyErr_SetString(PyExc_ValueError, "an entry is there twice");
        return -1;
    }
    head->generation = self->now - (uint32_t)generation;
    return append(&self->tables[which].order[generation], place);
}

static int load_viewers(Talks *self, uint32_t session, PyObject *part, int generation)
{
    PyObject *names = list_at(part, NAMES, -1), *sizes, *lines, *times;
    Py_ssize_t at = 0;

    sizes = names == NULL ? NULL : list_at(part, SIZES, PyList_GET_SIZE(names));
    lines = sizes == NULL ? NULL : list_at(part, THEIR_LINES, -1);
    times = lines == NULL ? NULL : list_at(part, TIMES, PyList_GET_SIZE(lines));
    if (times == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(names); i++) {
        uint32_t place = load_name(self, session, PyList_GET_ITEM(names, i));
        int64_t size = number_at(sizes, i, self->most_lines);
        Viewer *viewer;

        if (place == NOTHING || size < 0 || load_order(self, VIEWERS, place, generation) < 0) {
            return -1;
        }
        if (size == 0 || size > PyList_GET_SIZE(lines) - at) {
            PyErr_SetString(PyExc_ValueError, "a viewer has not so many lines");
            return -1;
        }
        viewer = VIEWER_AT(self, place);
        for (; size > 0; size--, at++) {
            int64_t line = number_at(lines, at, (INT64_C(1) << self->bits) - 1), its = number_at(times, at, UINT32_MAX);

            if (line < 0 || its < 0) {
                return -1;
            }
            if (make_lines_room(self, viewer) < 0) {
                return -1;
            }
            said_by(viewer)[viewer->count++] = (Said){(uint32_t)line, (uint32_t)its};
        }
    }
    return 0;
}

static int load_lines(Talks *self, uint32_t session, PyObject *part, int generation)
{
    PyObject *keys = list_at(part, 0, -1), *sizes, *values;
    Py_ssize_t at = 0;

    sizes = keys == NULL ? NULL : list_at(part, 1, PyList_GET_SIZE(keys));
    values = sizes == NULL ? NULL : list_at(part, 2, -1);
    if (values == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(keys); i++) {
        int64_t key = number_at(keys, i, (INT64_C(1) << self->bits) - 1), size = number_at(sizes, i, 1 + (int64_t)self->most_speakers);
        int64_t times;
        uint32_t place;

        if (key < 0 || size < 0) {
            return -1;
        }
        if (size == 0 || size > PyList_GET_SIZE(values) - at) {
            PyErr_SetString(PyExc_ValueError, "a line has not so many speakers");
            return -1;
        }
        times = number_at(values, at, INT64_MAX >> 16);
        place = times < 0 ? NOTHING : load_key(self, LINES, session, key);
        if (place == NOTHING || load_order(self, LINES, place, generation) < 0) {
            return -1;
        }
        LINE_AT(self, place)->times = times;
        for (at++; size > 1; size--, at++) {
            uint32_t speaker = load_name(self, session, PyList_GET_ITEM(values, at));

            if (speaker == NOTHING || make_speakers_room(self, LINE_AT(self, place)) < 0) {
                return -1;
            }
            add_speaker(self, LINE_AT(self, place), speaker);
        }
    }
    return 0;
}

static int load_near(Talks *self, uint32_t session, PyObject *part, int generation)
{
    PyObject *halves = list_at(part, 0, -1), *lines = halves == NULL ? NULL : list_at(part, 1, PyList_GET_SIZE(halves));

    if (lines == NULL) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(halves); i++) {
        int64_t most = (INT64_C(1) << self->bits) - 1, half = number_at(halves, i, most), line = number_at(lines, i, most);
        uint32_t place = half < 0 || line < 0 ? NOTHING : load_key(self, NEAR, session, half);

        if (place == NOTHING) {
            return -1;
        }
        if (NEAR_AT(self, place)->head.generation != 0 && NEAR_AT(self, place)->line != line) {
            PyErr_SetString(PyExc_ValueError, "what was nearly the same differs between generations");
            return -1;
        }
        NEAR_AT(self, place)->line = (uint32_t)line;
        if (load_order(self, NEAR, place, generation) < 0) {
            return -1;
        }
    }
    return 0;
}

static int load_talk(Talks *self, PyObject *talk)
{
    static int (*const loads[])(Talks *, uint32_t, PyObject *, int) = {load_viewers, load_lines, load_near};
    static const Py_ssize_t lengths[] = {VIEWER_LISTS, 3, 2};
    int64_t number = number_at(talk, 0, MOST_NUMBER), said = number < 0 ? -1 : number_at(talk, 1, INT64_MAX >> 8);
    uint32_t session;

    if (said < 0) {
        return -1;
    }
    if (find_session(self, number) != NOTHING) {
        PyErr_SetString(PyExc_ValueError, "a broadcast is there twice");
        return -1;
    }
    session = session_of(self, number);
    if (session == NOTHING) {
        return -1;
    }
    SESSION_AT(self, session)->said = said;
    for (int kind = 0; kind < 3; kind++) {
        PyObject *both = list_at(talk, 2 + kind, GENERATIONS), *part;

        for (int generation = OLD; generation >= YOUNG; generation--) {
            part = both == NULL ? NULL : list_at(both, generation, lengths[kind]);
            if (part == NULL || loads[kind](self, session, part, generation) < 0) {
                return -1;
            }
            if (generation == YOUNG && kind < 2) {
                SESSION_AT(self, session)->young += PyList_GET_SIZE(PyList_GET_ITEM(part, 0));
            }
        }
    }
    return 0;
}

/* load(young, talks): what state() gave. Of a new one alone; what failed is to be thrown away. */
static PyObject *Talks_load(Talks *self, PyObject *args)
{
    PyObject *talks;
    long long young;

    if (!PyArg_ParseTuple(args, "LO!", &young, &PyList_Type, &talks)) {
        return NULL;
    }
    if (!may_change(self)) {
        return NULL;
    }
    if (self->tables[SESSIONS].used) {
        PyErr_SetString(PyExc_ValueError, "something was heard already");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(talks); i++) {
        PyObject *talk = list_at(talks, i, 5);

        if (talk == NULL || load_talk(self, talk) < 0) {
            return NULL;
        }
    }
    self->young = young;
    Py_RETURN_NONE;
}

/* ---------------------------------------------------------------------- the type */

static void Talks_dealloc(Talks *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Table *lines = &self->tables[LINES], *viewers = &self->tables[VIEWERS];

    for (uint32_t place = 0; place < lines->end; place++) {
        Line *line = LINE_AT(self, place);

        if (line->head.session != FREE && line->room > FEW) {
            PyMem_Free(line->speakers.more);
        }
    }
    for (uint32_t place = 0; place < viewers->end; place++) {
        if (VIEWER_AT(self, place)->head.session != FREE) {
            forget_lines(VIEWER_AT(self, place));
            Py_DECREF(VIEWER_AT(self, place)->name);
        }
    }
    for (int which = 0; which < TABLES; which++) {
        PyMem_Free(self->tables[which].entries);
        PyMem_Free(self->tables[which].slots);
        for (int generation = 0; generation < GENERATIONS; generation++) {
            PyMem_Free(self->tables[which].order[generation].places);
        }
    }
    PyMem_Free(self->ways);
    PyMem_Free(self->chances);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static int hold_ways(Talks *self, PyObject *ways)
{
    Py_buffer view;
    int result = -1;

    if (hold_array(ways, sizeof(double), 0, &view) < 0) {
        return -1;
    }
    self->counts = view.len / (Py_ssize_t)sizeof(double);
    if (self->counts < 1 || self->counts > MOST_CHANCES) {
        PyErr_SetString(PyExc_ValueError, "too few ways, or too many");
    } else {
        self->ways = PyMem_Malloc((size_t)view.len);
        self->chances = PyMem_Malloc((size_t)view.len);
        if (self->ways == NULL || self->chances == NULL) {
            PyErr_NoMemory();
        } else {
            memcpy(self->ways, view.buf, (size_t)view.len);
            result = 0;
        }
    }
    PyBuffer_Release(&view);
    return result;
}

/* Talks((bits, lines, speakers, generation), share, ways)

   ways: by how often somebody has said anything (the last for all above), in how many ways a share of it may be one line. */
static PyObject *Talks_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *ways, *name;
    int bits;
    Py_ssize_t lines, speakers;
    long long generation;
    double share;
    Talks *self;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "no names are taken");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "(innL)dO", &bits, &lines, &speakers, &generation, &share, &ways)) {
        return NULL;
    }
    if (bits < 1 || bits > MOST_BITS || lines < 1 || lines > MOST_LINES || speakers < 1 || speakers > MOST_SPEAKERS || generation < 1) {
        PyErr_SetString(PyExc_ValueError, "bounds that nothing can have");
        return NULL;
    }
    self = (Talks *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->bits = bits;
    self->most_lines = (uint32_t)lines;
    self->most_speakers = (uint32_t)speakers;
    self->generation = generation;
    self->share = share;
    self->now = 2; /* an entry of no generation is never of the one before */
    for (int which = 0; which < TABLES; which++) {
        self->tables[which].width = widths[which];
        self->tables[which].first_free = NOTHING;
        if (set_slots(&self->tables[which], 64) < 0) {
            PyErr_NoMemory();
            goto fail;
        }
    }
    name = PyUnicode_FromString("frontrow_kernel.Talks");
    if (name == NULL) {
        goto fail;
    }
    self->seed = (uint64_t)PyObject_Hash(name);
    Py_DECREF(name);
    if (hold_ways(self, ways) < 0) {
        goto fail;
    }
    return (PyObject *)self;
fail:
    Py_DECREF(self);
    return NULL;
}

static PyObject *Talks_sizeof(Talks *self, PyObject *ignored)
{
    size_t bytes = sizeof(Talks) + 2 * (size_t)self->counts * sizeof(double);

    (void)ignored;
    for (int which = 0; which < TABLES; which++) {
        const Table *table = &self->tables[which];

        bytes += table->room * table->width + ((size_t)table->mask + 1) * sizeof(Slot);
        bytes += ((size_t)table->order[YOUNG].room + table->order[OLD].room) * sizeof(uint32_t);
    }
    for (uint32_t place = 0; place < self->tables[VIEWERS].end; place++) {
        const Viewer *viewer = VIEWER_AT(self, place);

        if (viewer->head.session != FREE && viewer->room > FEW_LINES) {
            bytes += viewer->room * sizeof(Said);
        }
    }
    for (uint32_t place = 0; place < self->tables[LINES].end; place++) {
        const Line *line = LINE_AT(self, place);

        if (line->head.session != FREE && line->room > FEW) {
            bytes += line->room * sizeof(uint32_t);
        }
    }
    return PyLong_FromSize_t(bytes);
}

static PyMethodDef Talks_methods[] = {
    {"hear", (PyCFunction)Talks_hear, METH_VARARGS, NULL},
    {"partners_of", (PyCFunction)Talks_partners_of, METH_VARARGS, NULL},
    {"forget", (PyCFunction)Talks_forget, METH_O, NULL},
    {"state", (PyCFunction)Talks_state, METH_NOARGS, NULL},
    {"load", (PyCFunction)Talks_load, METH_VARARGS, NULL},
    {"__sizeof__", (PyCFunction)Talks_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Talks_slots[] = {
    {Py_tp_new, Talks_new},
    {Py_tp_dealloc, Talks_dealloc},
    {Py_tp_methods, Talks_methods},
    {0, NULL},
};

static PyType_Spec Talks_spec = {
    .name = "frontrow_kernel.Talks",
    .basicsize = sizeof(Talks),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Talks_slots,
};

int add_crowd(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&Talks_spec);
    int result;

    if (type == NULL) {
        return -1;
    }
    result = PyModule_AddObjectRef(module, "Talks", type);
    Py_DECREF(type);
    return result;
}
