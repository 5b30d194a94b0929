/* Which events have been seen, of all rooms in one table: frontrow/core/seen.py.

   A SeenTable keeps ids one behind another in pages, each page of one hour, so that an hour that is forgotten gives its pages back.
   Where an id lies tell slots of 64 bits, by open addressing with linear probing: half a slot is of the id's hash, the other half its
   place. The hash only proposes; the room and all bytes decide. What costs is waiting for memory, so the slots of many events are
   fetched at a time. Pages and slots are mapped by themselves: what is let go goes back to the system. */

#include "kernel.h"

#include <structmember.h>
#include <sys/mman.h>

enum { AT_ONCE = 64, PAGE_BITS = 20, UNIT_BITS = 2, PLACE_BITS = PAGE_BITS - UNIT_BITS };
enum { FEWEST_BITS = 9, MOST_BITS = 31 }; /* of a slot's number; the fewest take one page of the system's */

#ifndef MAP_POPULATE /* Linux has it */
#define MAP_POPULATE 0
#endif

#define PAGE_BYTES ((size_t)1 << PAGE_BITS)
#define MOST_PAGES (((size_t)1 << (32 - PLACE_BITS)) - 1) /* 16 GiB of ids */
#define HOUR_MS 3600000
#define NONE UINT32_MAX
#define OF_ROOM 0x9E3779B97F4A7C15u
#define SPREAD 0xD6E8FEB86659FD93u

typedef struct {
    uint32_t room, length; /* the id's bytes follow, and what fills up a unit */
} Entry;

typedef struct {
    char *bytes; /* NULL: let go */
    size_t size, used;
    uint32_t next; /* of the same hour; or of those that were let go; or NONE */
} Page;

typedef struct {
    int64_t hour;
    uint32_t first, last; /* pages */
    size_t ids;
} Hour;

typedef struct {
    PyObject *platform, *name; /* NULL: the place is free */
    size_t ids;
    uint32_t next; /* of those that are free, or NONE */
} Room;

typedef struct {
    PyObject_HEAD
    long long now, hours;
    uint32_t mask; /* of the hashes' bits that are used */
    uint64_t *slots; /* 0: empty; else tag << 32 | place + 1 */
    int bits; /* 2 ** bits slots */
    size_t ids, bytes;
    Page *pages;
    size_t page_count, page_room;
    uint32_t free_page;
    Hour *of_hours; /* in their order */
    size_t hour_count, hour_room;
    Room *rooms;
    size_t room_count, room_room, rooms_held;
    uint32_t free_room;
    uint32_t *room_slots; /* 0: empty; else room + 1 */
    size_t room_mask; /* 0: none yet */
} SeenTable;

typedef struct {
    const char *bytes;
    PyObject *held; /* what they belong to, or NULL */
    int64_t at;
    uint32_t length, room, tag;
} Key;

static void *map_memory(size_t size, int flags)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

    if (memory == MAP_FAILED) {
        PyErr_NoMemory();
        return NULL;
    }
    return memory;
}

/* Make room for one more in an array; 0, or -1 with an exception. */
static int grow_array(void **array, size_t itemsize, size_t count, size_t *room)
{
    size_t more = *room ? *room + *room / 2 : 16;
    void *grown;

    if (count < *room) {
        return 0;
    }
    grown = PyMem_Realloc(*array, more * itemsize);
    if (grown == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *array = grown;
    *room = more;
    return 0;
}

/* ------------------------------------------------------------------ rooms */

static inline size_t room_home(const SeenTable *self, PyObject *platform, PyObject *name)
{
    uint64_t hash = (uint64_t)PyUnicode_Type.tp_hash(name) * OF_ROOM + (uint64_t)PyUnicode_Type.tp_hash(platform);

    return (size_t)(hash * SPREAD >> 32) & self->room_mask;
}

/* The slot of a room, or the empty one where it would be. */
static inline size_t room_slot(const SeenTable *self, PyObject *platform, PyObject *name)
{
    size_t slot = room_home(self, platform, name);

    while (self->room_slots[slot]) {
        const Room *room = &self->rooms[self->room_slots[slot] - 1];

        if (same_text(room->name, name) && same_text(room->platform, platform)) {
            break;
        }
        slot = (slot + 1) & self->room_mask;
    }
    return slot;
}

static void put_rooms(SeenTable *self)
{
    memset(self->room_slots, 0, (self->room_mask + 1) * sizeof *self->room_slots);
    for (size_t i = 0; i < self->room_count; i++) {
        if (self->rooms[i].platform != NULL) {
            self->room_slots[room_slot(self, self->rooms[i].platform, self->rooms[i].name)] = (uint32_t)i + 1;
        }
    }
}

/* Lay out the slots of the rooms anew, for at least so many; 0, or -1 with an exception and nothing changed. */
static int lay_out_rooms(SeenTable *self, size_t wanted)
{
    size_t slots = 16;
    uint32_t *laid;

    while (slots < 2 * wanted) {
        slots *= 2;
    }
    laid = PyMem_Malloc(slots * sizeof *laid);
    if (laid == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    PyMem_Free(self->room_slots);
    self->room_slots = laid;
    self->room_mask = slots - 1;
    put_rooms(self);
    return 0;
}

static int are_texts(PyObject *platform, PyObject *name)
{
    if (!PyUnicode_Check(platform) || !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "a platform and a room are texts");
        return 0;
    }
    return 1;
}

/* The number of a room, which is a new one where nothing is known of it; NONE with an exception. */
static uint32_t room_number(SeenTable *self, PyObject *platform, PyObject *name)
{
    uint32_t number;
    size_t slot;

    if (2 * (self->rooms_held + 1) > self->room_mask && lay_out_rooms(self, 2 * (self->rooms_held + 1)) < 0) {
        return NONE;
    }
    slot = room_slot(self, platform, name);
    if (self->room_slots[slot]) {
        return self->room_slots[slot] - 1;
    }
    number = self->free_room;
    if (number != NONE) {
        self->free_room = self->rooms[number].next;
    } else {
        if (self->room_count >= NONE - 1 ||
            grow_array((void **)&self->rooms, sizeof *self->rooms, self->room_count, &self->room_room) < 0) {
            return NONE;
        }
        number = (uint32_t)self->room_count++;
    }
    self->rooms[number] = (Room){.platform = Py_NewRef(platform), .name = Py_NewRef(name), .next = NONE};
    self->room_slots[slot] = number + 1;
    self->rooms_held++;
    return number;
}

/* Let go the rooms of which nothing is known. */
static void sweep_rooms(SeenTable *self)
{
    size_t before = self->rooms_held;

    for (size_t i = 0; i < self->room_count; i++) {
        Room *room = &self->rooms[i];

        if (room->platform != NULL && !room->ids) {
            Py_CLEAR(room->platform);
            Py_CLEAR(room->name);
            room->next = self->free_room;
            self->free_room = (uint32_t)i;
            self->rooms_held--;
        }
    }
    if (self->rooms_held < before && lay_out_rooms(self, 2 * self->rooms_held) < 0) {
        PyErr_Clear();
        put_rooms(self);
    }
}

/* ------------------------------------------------------------------ pages */

static inline Entry *entry_at(const SeenTable *self, uint32_t place)
{
    return (Entry *)(self->pages[place >> PLACE_BITS].bytes + ((size_t)(place & (PAGE_BYTES / 4 - 1)) << UNIT_BITS));
}

static inline size_t entry_size(size_t length)
{
    return (sizeof(Entry) + length + 3) & ~(size_t)3;
}

/* Give the last hour one more page, of the usual size or as large as one entry; 0, or -1 with an exception. */
static int add_page(SeenTable *self, size_t size)
{
    Hour *hour = &self->of_hours[self->hour_count - 1];
    uint32_t number = self->free_page, after = NONE;
    char *bytes;

    size = size > PAGE_BYTES ? size : PAGE_BYTES;
    if (number == NONE) {
        if (self->page_count >= MOST_PAGES) {
            PyErr_NoMemory();
            return -1;
        }
        if (grow_array((void **)&self->pages, sizeof *self->pages, self->page_count, &self->page_room) < 0) {
            return -1;
        }
    } else {
        after = self->pages[number].next;
    }
    bytes = map_memory(size, 0);
    if (bytes == NULL) {
        return -1;
    }
    if (number == NONE) {
        number = (uint32_t)self->page_count++;
    } else {
        self->free_page = after;
    }
    self->pages[number] = (Page){.bytes = bytes, .size = size, .next = NONE};
    if (hour->last == NONE) {
        hour->first = number;
    } else {
        self->pages[hour->last].next = number;
    }
    hour->last = number;
    return 0;
}

/* Put an id behind the others of an hour that is no earlier than theirs; its place, or NONE with an exception. */
static uint32_t append(SeenTable *self, const Key *key, int64_t at_hour)
{
    size_t size = entry_size(key->length);
    Hour *hour = self->hour_count ? &self->of_hours[self->hour_count - 1] : NULL;
    Page *page;
    Entry *entry;
    size_t used;

    if (hour == NULL || hour->hour != at_hour) {
        if (grow_array((void **)&self->of_hours, sizeof *self->of_hours, self->hour_count, &self->hour_room) < 0) {
            return NONE;
        }
        hour = &self->of_hours[self->hour_count++];
        *hour = (Hour){.hour = at_hour, .first = NONE, .last = NONE};
    }
    if ((hour->last == NONE || self->pages[hour->last].used + size > self->pages[hour->last].size) && add_page(self, size) < 0) {
        return NONE;
    }
    page = &self->pages[hour->last];
    used = page->used;
    entry = (Entry *)(page->bytes + used);
    entry->room = key->room;
    entry->length = key->length;
    memcpy(entry + 1, key->bytes, key->length);
    page->used += size;
    hour->ids++;
    self->rooms[key->room].ids++;
    self->ids++;
    self->bytes += key->length;
    return hour->last << PLACE_BITS | (uint32_t)(used >> UNIT_BITS);
}

/* ------------------------------------------------------------------ slots */

static inline uint32_t tag_of(const SeenTable *self, Py_hash_t hash, uint32_t room)
{
    return (uint32_t)(((uint64_t)hash + room * OF_ROOM) * SPREAD >> 32) & self->mask;
}

static inline size_t home_of(uint32_t tag, int bits)
{
    return (size_t)((uint64_t)tag << bits >> 32);
}

/* The slot of an id, or the empty one where it would be. */
static inline size_t slot_of(const SeenTable *self, const Key *key)
{
    size_t mask = ((size_t)1 << self->bits) - 1, slot = home_of(key->tag, self->bits);

    for (; self->slots[slot]; slot = (slot + 1) & mask) {
        if (self->slots[slot] >> 32 == key->tag) {
            const Entry *entry = entry_at(self, (uint32_t)self->slots[slot] - 1);

            if (entry->room == key->room && entry->length == key->length && memcmp(entry + 1, key->bytes, key->length) == 0) {
                break;
            }
        }
    }
    return slot;
}

static inline void put(uint64_t *slots, int bits, uint64_t its)
{
    size_t mask = ((size_t)1 << bits) - 1, slot = home_of((uint32_t)(its >> 32), bits);

    while (slots[slot]) {
        slot = (slot + 1) & mask;
    }
    slots[slot] = its;
}

static inline int is_kept(const SeenTable *self, uint64_t its)
{
    return its && self->pages[((uint32_t)its - 1) >> PLACE_BITS].bytes != NULL;
}

/* Move what is kept into as many slots as 2 ** bits; 0, or -1 with an exception and nothing changed. */
static int lay_out(SeenTable *self, int bits)
{
    size_t count = self->slots == NULL ? 0 : (size_t)1 << self->bits;
    uint64_t *laid;

    if (bits > MOST_BITS) {
        PyErr_NoMemory();
        return -1;
    }
    laid = map_memory(((size_t)1 << bits) * sizeof *laid, MAP_POPULATE); /* all of it is about to be written */
    if (laid == NULL) {
        return -1;
    }
    /* Slots are in the order of their hashes, but for who had to step aside: so both are gone through from the beginning to the end. */
    for (size_t i = 0; i < count; i++) {
        if (is_kept(self, self->slots[i])) {
            put(laid, bits, self->slots[i]);
        }
    }
    if (self->slots != NULL) {
        munmap(self->slots, count * sizeof *laid);
    }
    self->slots = laid;
    self->bits = bits;
    return 0;
}

/* Three quarters are taken at most. */
static inline int is_full(const SeenTable *self)
{
    return self->slots == NULL || 4 * (self->ids + 1) > 3 * ((size_t)1 << self->bits);
}

/* Empty the slots of what is let go. From an empty slot on, each that is kept behind a gap finds its place at where it was or before:
   those that it steps aside for stand where they are to stand already. */
static void sweep_slots(SeenTable *self)
{
    size_t count = (size_t)1 << self->bits, start = 0;
    int has_gap = 0; /* since the last empty slot */

    while (self->slots[start]) {
        start++;
    }
    for (size_t i = 1; i < count; i++) {
        size_t slot = (start + i) & (count - 1);
        uint64_t its = self->slots[slot];

        if (!its) {
            has_gap = 0;
        } else if (!is_kept(self, its)) {
            self->slots[slot] = 0;
            has_gap = 1;
        } else if (has_gap) {
            self->slots[slot] = 0;
            put(self->slots, self->bits, its);
        }
    }
}

/* Forget the hours before one. Rooms stay until sweep_rooms(). */
static void forget(SeenTable *self, int64_t oldest)
{
    size_t old = 0;
    uint32_t let_go = NONE;

    while (old < self->hour_count && self->of_hours[old].hour < oldest) {
        uint32_t number = self->of_hours[old].first;

        while (number != NONE) {
            Page *page = &self->pages[number];
            uint32_t next = page->next;

            for (size_t at = 0; at < page->used;) {
                const Entry *entry = (const Entry *)(page->bytes + at);

                self->rooms[entry->room].ids--;
                self->ids--;
                self->bytes -= entry->length;
                at += entry_size(entry->length);
            }
            munmap(page->bytes, page->size);
            page->bytes = NULL;
            page->next = let_go;
            let_go = number;
            number = next;
        }
        old++;
    }
    if (!old) {
        return;
    }
    self->hour_count -= old;
    memmove(self->of_hours, self->of_hours + old, self->hour_count * sizeof *self->of_hours);
    int bits = FEWEST_BITS;
    while (2 * self->ids > (size_t)1 << bits) {
        bits++;
    }
    if (bits + 1 < self->bits) { /* an eighth are taken, or fewer */
        if (lay_out(self, bits) < 0) {
            PyErr_Clear();
            sweep_slots(self);
        }
    } else {
        sweep_slots(self);
    }
    while (let_go != NONE) { /* their numbers may be given again, now that no slot has them */
        uint32_t next = self->pages[let_go].next;

        self->pages[let_go].next = self->free_page;
        self->free_page = let_go;
        let_go = next;
    }
}

/* Whether an id is known already; else it is from now on. -1 with an exception. */
static inline int remember(SeenTable *self, const Key *key, int64_t hour)
{
    uint32_t place;
    size_t slot;

    if (is_full(self) && lay_out(self, self->slots == NULL ? FEWEST_BITS : self->bits + 1) < 0) {
        return -1;
    }
    slot = slot_of(self, key);
    if (self->slots[slot]) {
        return 1;
    }
    place = append(self, key, hour);
    if (place == NONE) {
        return -1;
    }
    self->slots[slot] = (uint64_t)key->tag << 32 | ((uint64_t)place + 1);
    return 0;
}

/* Let the processor fetch what will be asked: first the slots, then the ids that they propose. */
static void fetch(const SeenTable *self, const Key *keys, Py_ssize_t count)
{
    size_t mask = ((size_t)1 << self->bits) - 1;

    for (Py_ssize_t i = 0; i < count; i++) {
        for (size_t slot = home_of(keys[i].tag, self->bits); self->slots[slot]; slot = (slot + 1) & mask) {
            if (self->slots[slot] >> 32 == keys[i].tag) {
                __builtin_prefetch(entry_at(self, (uint32_t)self->slots[slot] - 1));
                break;
            }
        }
    }
}

/* ------------------------------------------------------------------ ids */

/* An id's bytes in UTF-8, half surrogate pairs too, and its hash; 0, or -1 with an exception. Let `held` go. */
static inline int read_id(const SeenTable *self, PyObject *id, uint32_t room, Key *key)
{
    Py_hash_t hash;
    Py_ssize_t length;

    key->held = NULL;
    if (!PyUnicode_Check(id)) {
        PyErr_SetString(PyExc_TypeError, "an id is a text");
        return -1;
    }
    hash = PyUnicode_Type.tp_hash(id); /* Python's own: keyed for each process, so that nobody outside can make ids collide */
    if (PyUnicode_IS_COMPACT_ASCII(id)) {
        key->bytes = PyUnicode_DATA(id);
        length = PyUnicode_GET_LENGTH(id);
    } else {
        key->held = PyUnicode_AsEncodedString(id, "utf-8", "surrogatepass");
        if (key->held == NULL) {
            return -1;
        }
        key->bytes = PyBytes_AS_STRING(key->held);
        length = PyBytes_GET_SIZE(key->held);
    }
    if ((uint64_t)length > UINT32_MAX - 2 * sizeof(Entry)) {
        Py_CLEAR(key->held);
        PyErr_SetString(PyExc_ValueError, "an id is too long");
        return -1;
    }
    key->length = (uint32_t)length;
    key->room = room;
    key->tag = tag_of(self, hash, room);
    if (self->slots != NULL) {
        __builtin_prefetch(self->slots + home_of(key->tag, self->bits));
    }
    return 0;
}

/* take(platforms, rooms, ids, arrived, at) -> the positions of events that have been seen before; the others are remembered

   arrived: in UTC milliseconds, or None, then `at` counts. */
static PyObject *SeenTable_take(SeenTable *self, PyObject *const *args, Py_ssize_t count)
{
    enum { PLATFORMS, ROOMS, IDS, ARRIVED, AT, COLUMNS };
    PyObject *held[COLUMNS] = {NULL}, *seen = NULL, *last_platform = NULL, *last_name = NULL;
    uint32_t room = NONE;
    int has_forgotten = 0;

    if (count != COLUMNS) {
        PyErr_SetString(PyExc_TypeError, "five columns are wanted");
        return NULL;
    }
    if (hold_columns(args, held, COLUMNS) < 0 || (seen = PyList_New(0)) == NULL) {
        goto done;
    }
    Py_ssize_t events = PySequence_Fast_GET_SIZE(held[IDS]);
    for (Py_ssize_t start = 0; start < events; start += AT_ONCE) {
        Py_ssize_t part = events - start < AT_ONCE ? events - start : AT_ONCE, read = 0, i;
        Key keys[AT_ONCE];
        int too_large = 0;

        for (; read < part; read++) {
            PyObject *platform = PySequence_Fast_GET_ITEM(held[PLATFORMS], start + read);
            PyObject *name = PySequence_Fast_GET_ITEM(held[ROOMS], start + read);
            PyObject *at = PySequence_Fast_GET_ITEM(held[ARRIVED], start + read);
            Key *key = &keys[read];

            if (name != last_name || platform != last_platform) {
                room = are_texts(platform, name) ? room_number(self, platform, name) : NONE;
                if (room == NONE) {
                    break;
                }
                last_platform = platform;
                last_name = name;
            }
            at = at == Py_None ? PySequence_Fast_GET_ITEM(held[AT], start + read) : at;
            key->at = PyLong_AsLongLongAndOverflow(at, &too_large); /* faster than without */
            if (too_large || (key->at == -1 && PyErr_Occurred()) ||
                read_id(self, PySequence_Fast_GET_ITEM(held[IDS], start + read), room, key) < 0) {
                break;
            }
        }
        if (read == part && self->slots != NULL) {
            fetch(self, keys, part);
        }
        for (i = 0; read == part && i < part; i++) {
            int64_t now = keys[i].at > self->now ? keys[i].at : self->now;
            int known = remember(self, &keys[i], now / HOUR_MS);

            if (known < 0) {
                break;
            }
            if (known) {
                PyObject *position = PyLong_FromSsize_t(start + i);
                int added = position == NULL ? -1 : PyList_Append(seen, position);

                Py_XDECREF(position);
                if (added < 0) {
                    break;
                }
                continue;
            }
            if (now / HOUR_MS != self->now / HOUR_MS) {
                forget(self, now / HOUR_MS - self->hours);
                has_forgotten = 1;
            }
            self->now = now;
        }
        for (Py_ssize_t j = 0; j < read; j++) {
            Py_XDECREF(keys[j].held);
        }
        if (too_large) {
            PyErr_SetString(PyExc_OverflowError, "no such time");
        }
        if (read < part || i < part) {
            Py_CLEAR(seen);
            break;
        }
    }
    if (has_forgotten) {
        sweep_rooms(self);
    }
done:
    for (int i = 0; i < COLUMNS; i++) {
        Py_XDECREF(held[i]);
    }
    return seen;
}

/* knows(platform, room, id) -> whether an event of this id would be seen before */
static PyObject *SeenTable_knows(SeenTable *self, PyObject *const *args, Py_ssize_t count)
{
    Key key;
    size_t slot;
    int known = 0;

    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "three texts are wanted");
        return NULL;
    }
    if (!are_texts(args[0], args[1])) {
        return NULL;
    }
    slot = self->room_mask ? room_slot(self, args[0], args[1]) : 0;
    if (read_id(self, args[2], self->room_mask && self->room_slots[slot] ? self->room_slots[slot] - 1 : NONE, &key) < 0) {
        return NULL;
    }
    if (key.room != NONE && self->slots != NULL) {
        known = self->slots[slot_of(self, &key)] != 0;
    }
    Py_XDECREF(key.held);
    return PyBool_FromLong(known);
}

/* ------------------------------------------------------------------ images */

/* image() -> (now, [(platform, room)], [(hour, how many ids)], rooms, lengths, ids)

   The last three are bytes: of each id in the order of hours its room's place in the list and its length, both uint32, and the ids
   themselves in UTF-8, one behind another. */
static PyObject *SeenTable_image(SeenTable *self, PyObject *Py_UNUSED(ignored))
{
    PyObject *rooms = PyList_New(0), *hours = PyList_New(0), *columns[3] = {NULL}, *image = NULL;
    uint32_t *place_of = PyMem_Malloc((self->room_count ? self->room_count : 1) * sizeof *place_of);
    size_t sizes[] = {4 * self->ids, 4 * self->ids, self->bytes};

    if (place_of == NULL) {
        PyErr_NoMemory();
    }
    if (rooms == NULL || hours == NULL || place_of == NULL) {
        goto done;
    }
    for (int i = 0; i < 3; i++) {
        columns[i] = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)sizes[i]);
        if (columns[i] == NULL) {
            goto done;
        }
    }
    for (size_t i = 0; i < self->room_count; i++) {
        if (self->rooms[i].ids) {
            PyObject *key = PyTuple_Pack(2, self->rooms[i].platform, self->rooms[i].name);
            int added = key == NULL ? -1 : PyList_Append(rooms, key);

            Py_XDECREF(key);
            if (added < 0) {
                goto done;
            }
            place_of[i] = (uint32_t)PyList_GET_SIZE(rooms) - 1;
        }
    }
    char *room = PyBytes_AS_STRING(columns[0]), *length = PyBytes_AS_STRING(columns[1]), *bytes = PyBytes_AS_STRING(columns[2]);
    for (size_t i = 0; i < self->hour_count; i++) {
        PyObject *hour = Py_BuildValue("(Ln)", (long long)self->of_hours[i].hour, (Py_ssize_t)self->of_hours[i].ids);
        int added = hour == NULL ? -1 : PyList_Append(hours, hour);

        Py_XDECREF(hour);
        if (added < 0) {
            goto done;
        }
        for (uint32_t number = self->of_hours[i].first; number != NONE; number = self->pages[number].next) {
            const Page *page = &self->pages[number];

            for (size_t at = 0; at < page->used;) {
                const Entry *entry = (const Entry *)(page->bytes + at);

                memcpy(room, &place_of[entry->room], 4);
                memcpy(length, &entry->length, 4);
                memcpy(bytes, entry + 1, entry->length);
                room += 4;
                length += 4;
                bytes += entry->length;
                at += entry_size(entry->length);
            }
        }
    }
    image = Py_BuildValue("(LOOOOO)", self->now, rooms, hours, columns[0], columns[1], columns[2]);
done:
    PyMem_Free(place_of);
    Py_XDECREF(rooms);
    Py_XDECREF(hours);
    for (int i = 0; i < 3; i++) {
        Py_XDECREF(columns[i]);
    }
    return image;
}

/* Read the hours of an image as far as `hours` has them; 0, or -1 with an exception. */
static int load_ids(SeenTable *self, PyObject *hours, const Py_buffer *held, const uint32_t *number_of, size_t rooms)
{
    const char *bytes = held[2].buf;
    const uint32_t *room = held[0].buf, *length = held[1].buf;
    size_t left = (size_t)held[2].len, ids = (size_t)held[1].len / 4;
    long long before = -1;

    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(hours); i++) {
        PyObject *of_hour = PySequence_Tuple(PyList_GET_ITEM(hours, i));
        long long hour;
        Py_ssize_t count;
        int read = of_hour == NULL ? 0 : PyArg_ParseTuple(of_hour, "Ln", &hour, &count);

        Py_XDECREF(of_hour);
        if (!read) {
            return -1;
        }
        if (hour <= before || hour > self->now / HOUR_MS || count < 0 || (size_t)count > ids) {
            goto unfit;
        }
        before = hour;
        ids -= (size_t)count;
        for (; count > 0; count--, room++, length++) {
            PyObject *id;
            Key key;
            int known;

            if (*room >= rooms || *length > left) {
                goto unfit;
            }
            id = PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)*length, "surrogatepass");
            if (id == NULL) {
                return -1;
            }
            known = read_id(self, id, number_of[*room], &key);
            if (known == 0) {
                known = remember(self, &key, hour);
                Py_XDECREF(key.held);
            }
            Py_DECREF(id);
            if (known < 0) {
                return -1;
            }
            bytes += *length;
            left -= *length;
        }
    }
    if (!ids && !left) {
        return 0;
    }
unfit:
    PyErr_SetString(PyExc_ValueError, "the columns do not fit together");
    return -1;
}

/* load(now, rooms, hours, room_of, lengths, ids): take over an image, while nothing is known yet. */
static PyObject *SeenTable_load(SeenTable *self, PyObject *args)
{
    enum { ROOM_OF, LENGTHS, IDS, ARRAYS };
    static const char sizes[ARRAYS] = {4, 4, 1};
    PyObject *rooms, *hours, *given[ARRAYS], *result = NULL;
    uint32_t *number_of = NULL;
    Py_buffer held[ARRAYS];
    long long now;
    int count = 0, bits = FEWEST_BITS;

    if (!PyArg_ParseTuple(args, "LO!O!OOO", &now, &PyList_Type, &rooms, &PyList_Type, &hours, &given[ROOM_OF], &given[LENGTHS],
                          &given[IDS])) {
        return NULL;
    }
    for (; count < ARRAYS; count++) {
        if (hold_array(given[count], sizes[count], 0, &held[count]) < 0) {
            goto done;
        }
    }
    if (self->ids || now < 0 || held[ROOM_OF].len != held[LENGTHS].len) {
        PyErr_SetString(PyExc_ValueError, "something is known already, or the columns do not fit together");
        goto done;
    }
    while (3 * ((size_t)1 << bits) < (size_t)held[LENGTHS].len + 4 && bits < MOST_BITS) {
        bits++;
    }
    number_of = PyMem_Malloc((size_t)(PyList_GET_SIZE(rooms) + 1) * sizeof *number_of);
    if (number_of == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    if (lay_out(self, bits) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(rooms); i++) {
        PyObject *key = PySequence_Tuple(PyList_GET_ITEM(rooms, i)), *platform, *name;

        number_of[i] = key != NULL && PyArg_ParseTuple(key, "UU", &platform, &name) ? room_number(self, platform, name) : NONE;
        Py_XDECREF(key);
        if (number_of[i] == NONE) {
            goto done;
        }
    }
    self->now = now;
    if (load_ids(self, hours, held, number_of, (size_t)PyList_GET_SIZE(rooms)) < 0) {
        goto done;
    }
    forget(self, now / HOUR_MS - self->hours);
    sweep_rooms(self);
    result = Py_NewRef(Py_None);
done:
    PyMem_Free(number_of);
    while (count > 0) {
        PyBuffer_Release(&held[--count]);
    }
    return result;
}

/* ------------------------------------------------------------------ the type */

/* SeenTable(hours, mask=0xFFFFFFFF): ids are known for so many hours after the one in which they came. mask: of the hashes' bits that are
   used, so that a test can let ids collide. */
static PyObject *SeenTable_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    long long hours;
    unsigned int mask = UINT32_MAX;
    SeenTable *self;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "no names are taken");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "L|I", &hours, &mask)) {
        return NULL;
    }
    if (hours < 0) {
        PyErr_SetString(PyExc_ValueError, "no such number of hours");
        return NULL;
    }
    self = (SeenTable *)type->tp_alloc(type, 0);
    if (self != NULL) {
        self->hours = hours;
        self->mask = mask;
        self->free_page = self->free_room = NONE;
    }
    return (PyObject *)self;
}

static void SeenTable_dealloc(SeenTable *self)
{
    PyTypeObject *type = Py_TYPE(self);

    for (size_t i = 0; i < self->page_count; i++) {
        if (self->pages[i].bytes != NULL) {
            munmap(self->pages[i].bytes, self->pages[i].size);
        }
    }
    if (self->slots != NULL) {
        munmap(self->slots, ((size_t)1 << self->bits) * sizeof *self->slots);
    }
    for (size_t i = 0; i < self->room_count; i++) {
        Py_XDECREF(self->rooms[i].platform);
        Py_XDECREF(self->rooms[i].name);
    }
    PyMem_Free(self->pages);
    PyMem_Free(self->of_hours);
    PyMem_Free(self->rooms);
    PyMem_Free(self->room_slots);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static Py_ssize_t SeenTable_length(SeenTable *self)
{
    return (Py_ssize_t)self->ids;
}

/* What all of it takes, in bytes: for sys.getsizeof(). */
static PyObject *SeenTable_sizeof(SeenTable *self, PyObject *Py_UNUSED(ignored))
{
    size_t size = sizeof *self + self->page_room * sizeof *self->pages + self->hour_room * sizeof *self->of_hours +
                  self->room_room * sizeof *self->rooms + (self->room_mask ? (self->room_mask + 1) * sizeof *self->room_slots : 0) +
                  (self->slots == NULL ? 0 : ((size_t)1 << self->bits) * sizeof *self->slots);

    for (size_t i = 0; i < self->page_count; i++) {
        size += self->pages[i].bytes == NULL ? 0 : self->pages[i].used;
    }
    return PyLong_FromSize_t(size);
}

static PyMethodDef SeenTable_methods[] = {
    {"take", (PyCFunction)(void (*)(void))SeenTable_take, METH_FASTCALL, NULL},
    {"knows", (PyCFunction)(void (*)(void))SeenTable_knows, METH_FASTCALL, NULL},
    {"image", (PyCFunction)SeenTable_image, METH_NOARGS, NULL},
    {"load", (PyCFunction)SeenTable_load, METH_VARARGS, NULL},
    {"__sizeof__", (PyCFunction)SeenTable_sizeof, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef SeenTable_members[] = {
    {"now", T_LONGLONG, offsetof(SeenTable, now), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot SeenTable_slots[] = {
    {Py_tp_new, SeenTable_new},         {Py_tp_dealloc, SeenTable_dealloc}, {Py_tp_methods, SeenTable_methods},
    {Py_tp_members, SeenTable_members}, {Py_sq_length, SeenTable_length},   {0, NULL},
};

static PyType_Spec SeenTable_spec = {
    .name = "frontrow_kernel.SeenTable",
    .basicsize = sizeof(SeenTable),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = SeenTable_slots,
};

int add_seen(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&SeenTable_spec);
    int result;

    if (type == NULL) {
        return -1;
    }
    result = PyModule_AddObjectRef(module, "SeenTable", type);
    Py_DECREF(type);
    return result;
}
