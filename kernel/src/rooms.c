/* What is asked of each room that a frame has events of: Engine._find_ahead() of frontrow/core/engine.py. */

#include "kernel.h"

/* The different rooms of some events, in the order in which they come. All texts are borrowed from the columns. */
typedef struct {
    PyObject *platform, *name, *session;
    int64_t low, high; /* event times */
} Room;

typedef struct {
    Room *rooms;
    Py_ssize_t count, *slots; /* 1 more than the room's place; 0: empty */
    size_t mask;
} Rooms;

static int rooms_for(Rooms *found, Py_ssize_t events)
{
    size_t slots = 16;

    while (slots < 2 * (size_t)events) {
        slots *= 2;
    }
    found->count = 0;
    found->mask = slots - 1;
    found->rooms = PyMem_Malloc((size_t)(events ? events : 1) * sizeof *found->rooms);
    found->slots = PyMem_Calloc(slots, sizeof *found->slots);
    if (found->rooms == NULL || found->slots == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

static void rooms_done(Rooms *found)
{
    PyMem_Free(found->rooms);
    PyMem_Free(found->slots);
}

/* The place of a room, which is new where there are as many as before; -1 with an exception. */
static inline Py_ssize_t place_of(Rooms *found, PyObject *platform, PyObject *name)
{
    Py_hash_t hash;
    size_t slot;

    if (!PyUnicode_Check(platform) || !PyUnicode_Check(name)) {
        PyErr_SetString(PyExc_TypeError, "a platform and a room are texts");
        return -1;
    }
    hash = PyObject_Hash(name);
    if (hash == -1) {
        return -1;
    }
    for (slot = (size_t)hash & found->mask; found->slots[slot]; slot = (slot + 1) & found->mask) {
        Room *room = &found->rooms[found->slots[slot] - 1];

        if (same_text(room->name, name) && same_text(room->platform, platform)) {
            return found->slots[slot] - 1;
        }
    }
    found->rooms[found->count] = (Room){.platform = platform, .name = name};
    found->slots[slot] = ++found->count;
    return found->count - 1;
}

/* Have the processor fetch an object that is asked soon. */
static inline void fetch(const PyObject *object, size_t size)
{
    enum { LINE = 64 }; /* bytes of a cache's line */

    for (size_t at = 0; at < size; at += LINE) {
        __builtin_prefetch((const char *)object + at);
    }
}

enum { SESSIONS, CURRENT, OPEN, ID, STARTED_AT, ENDED_AT, LAST_AT, NUMBER, LAST_EVENT_AT, ATTRIBUTES };
static const char *const attributes[ATTRIBUTES] = {"sessions", "current",  "open",    "id",     "started_at",
                                                   "ended_at", "last_at", "number", "last_event_at"};

/* A number among an object's attributes; -1 with an exception, or where it is that. */
static int64_t number_of(PyObject *object, Attribute *slot, PyObject *name)
{
    PyObject *value = get_slot(slot, object, name);
    int64_t number = value == NULL ? -1 : PyLong_AsLongLong(value);

    Py_XDECREF(value);
    return number;
}

/* Whether an attribute is an object that is compared by `is`, or by its text; -1 with an exception. */
static int attribute_is(PyObject *object, Attribute *slot, PyObject *name, PyObject *wanted)
{
    PyObject *value = get_slot(slot, object, name);
    int same = value == NULL ? -1 : same_text(value, wanted);

    Py_XDECREF(value);
    return same;
}

/* Whether a session goes on through all of a room's events; -1 with an exception. */
static int goes_on(PyObject *session, const Room *room, int64_t silence_ms, Attribute *slots, PyObject *const *names)
{
    int holds = attribute_is(session, &slots[OPEN], names[OPEN], Py_True);

    if (holds <= 0) {
        return holds;
    }
    int64_t started_at = number_of(session, &slots[STARTED_AT], names[STARTED_AT]);
    if (PyErr_Occurred()) {
        return -1;
    }
    if (room->low < started_at) {
        return 0;
    }
    if (room->session != Py_None) {
        return attribute_is(session, &slots[ID], names[ID], room->session);
    }
    holds = attribute_is(session, &slots[ENDED_AT], names[ENDED_AT], Py_None);
    if (holds <= 0) {
        return holds;
    }
    int64_t last_at = number_of(session, &slots[LAST_AT], names[LAST_AT]);
    return PyErr_Occurred() ? -1 : room->high <= last_at + silence_ms;
}

/* sessions_ahead(rooms, platforms, names, sessions, bounds, bits, at, which, numbers) -> ([RoomState], [Session]), or None

   Where each room's present session goes on through all of its events, which is nearly always, these are the rooms in the order in
   which they come and their sessions, and the rooms have taken note of their latest event; else None, and nothing was noted.
   rooms: {(platform, name): RoomState}; bounds: the first position and the one behind the last, the bit of events that are not
   looked at, and after how many milliseconds of silence a session is over; bits, at: int64, by position. Written are which: int64, by
   position, the place in the lists or -1, and numbers: the session's. */
static PyObject *sessions_ahead(PyObject *Py_UNUSED(module), PyObject *args)
{
    enum { PLATFORMS, NAMES, NAMED, COLUMNS };
    enum { BITS, AT, WHICH, NUMBERS, ARRAYS };
    PyObject *rooms, *given[COLUMNS], *columns[COLUMNS] = {NULL}, *arrays[ARRAYS], *names[ATTRIBUTES] = {NULL};
    PyObject *states = NULL, *sessions = NULL, *result = NULL;
    Py_ssize_t start, end;
    long long silent, silence_ms;
    Py_buffer held[ARRAYS];
    Rooms found = {0};
    Attribute slots[ATTRIBUTES] = {{0}};
    int arrays_held = 0;

    if (!PyArg_ParseTuple(args, "O!OOO(nnLL)OOOO", &PyDict_Type, &rooms, &given[PLATFORMS], &given[NAMES], &given[NAMED], &start,
                          &end, &silent, &silence_ms, &arrays[BITS], &arrays[AT], &arrays[WHICH], &arrays[NUMBERS]) ||
        hold_columns(given, columns, COLUMNS) < 0) {
        goto done;
    }
    Py_ssize_t events = PySequence_Fast_GET_SIZE(columns[NAMES]);
    for (; arrays_held < ARRAYS; arrays_held++) {
        if (hold_array(arrays[arrays_held], 8, arrays_held >= WHICH, &held[arrays_held]) < 0) {
            goto done;
        }
        if (held[arrays_held].len < events * 8) {
            PyErr_SetString(PyExc_ValueError, "an array is too short");
            arrays_held++;
            goto done;
        }
    }
    if (start < 0 || end > events || start > end) {
        PyErr_SetString(PyExc_ValueError, "no such events");
        goto done;
    }
    for (int i = 0; i < ATTRIBUTES; i++) {
        names[i] = PyUnicode_InternFromString(attributes[i]);
        if (names[i] == NULL) {
            goto done;
        }
    }
    const int64_t *bits = held[BITS].buf, *at = held[AT].buf;
    int64_t *which = held[WHICH].buf, *numbers = held[NUMBERS].buf;
    if (rooms_for(&found, end - start) < 0) {
        goto done;
    }
    for (Py_ssize_t i = start; i < end; i++) {
        PyObject *session = PySequence_Fast_GET_ITEM(columns[NAMED], i);
        Py_ssize_t before = found.count, place;

        which[i] = -1;
        if (bits[i] & silent) {
            continue;
        }
        place = place_of(&found, PySequence_Fast_GET_ITEM(columns[PLATFORMS], i), PySequence_Fast_GET_ITEM(columns[NAMES], i));
        if (place < 0) {
            goto done;
        }
        Room *room = &found.rooms[place];
        if (found.count > before) {
            room->session = session;
            room->low = room->high = at[i];
        } else if (!same_text(room->session, session)) {
            goto otherwise;
        } else if (at[i] < room->low) {
            room->low = at[i];
        } else if (at[i] > room->high) {
            room->high = at[i];
        }
        which[i] = place;
    }
    if (!found.count) {
        goto otherwise;
    }
    states = PyList_New(found.count);
    sessions = PyList_New(found.count);
    if (states == NULL || sessions == NULL) {
        goto done;
    }
    /* One step for all rooms before the next: of many, each step's objects have left the caches, and are fetched while the
       other rooms' are asked for. */
    for (Py_ssize_t place = 0; place < found.count; place++) {
        Room *room = &found.rooms[place];
        PyObject *key = PyTuple_Pack(2, room->platform, room->name), *state;

        state = key == NULL ? NULL : PyDict_GetItemWithError(rooms, key);
        Py_XDECREF(key);
        if (state == NULL) {
            if (PyErr_Occurred()) {
                goto done;
            }
            goto otherwise;
        }
        PyList_SET_ITEM(states, place, Py_NewRef(state));
        fetch(state, sizeof(PyObject) + 6 * sizeof(PyObject *));
    }
    for (Py_ssize_t place = 0; place < found.count; place++) {
        PyObject *of_room = get_slot(&slots[SESSIONS], PyList_GET_ITEM(states, place), names[SESSIONS]);

        if (of_room == NULL) {
            goto done;
        }
        PyList_SET_ITEM(sessions, place, of_room); /* until the next step */
        fetch(of_room, sizeof(PyObject) + 8 * sizeof(PyObject *));
    }
    for (Py_ssize_t place = 0; place < found.count; place++) {
        PyObject *session = get_slot(&slots[CURRENT], PyList_GET_ITEM(sessions, place), names[CURRENT]);

        if (session == NULL || PyList_SetItem(sessions, place, session) < 0) {
            goto done;
        }
        fetch(session, sizeof(PyObject) + 24 * sizeof(PyObject *));
    }
    for (Py_ssize_t place = 0; place < found.count; place++) {
        Room *room = &found.rooms[place];
        PyObject *session = PyList_GET_ITEM(sessions, place);
        int holds = session == Py_None ? 0 : goes_on(session, room, silence_ms, slots, names);

        if (holds < 0) {
            goto done;
        }
        if (!holds) {
            goto otherwise;
        }
        room->low = number_of(session, &slots[NUMBER], names[NUMBER]); /* in place of what is not asked any more */
        if (PyErr_Occurred()) {
            goto done;
        }
    }
    for (Py_ssize_t place = 0; place < found.count; place++) {
        PyObject *state = PyList_GET_ITEM(states, place);
        int64_t last_event_at = number_of(state, &slots[LAST_EVENT_AT], names[LAST_EVENT_AT]);

        if (PyErr_Occurred()) {
            goto done;
        }
        if (found.rooms[place].high > last_event_at) {
            PyObject *latest = PyLong_FromLongLong(found.rooms[place].high);
            int noted = latest == NULL ? -1 : set_slot(&slots[LAST_EVENT_AT], state, names[LAST_EVENT_AT], latest);

            Py_XDECREF(latest);
            if (noted < 0) {
                goto done;
            }
        }
    }
    for (Py_ssize_t i = start; i < end; i++) {
        numbers[i] = which[i] < 0 ? -1 : found.rooms[which[i]].low;
    }
    result = PyTuple_Pack(2, states, sessions);
    goto done;
otherwise:
    result = Py_NewRef(Py_None);
done:
    rooms_done(&found);
    Py_XDECREF(states);
    Py_XDECREF(sessions);
    for (int i = 0; i < ATTRIBUTES; i++) {
        Py_XDECREF(names[i]);
    }
    while (arrays_held > 0) {
        PyBuffer_Release(&held[--arrays_held]);
    }
    for (int i = 0; i < COLUMNS; i++) {
        Py_XDECREF(columns[i]);
    }
    return result;
}

PyMethodDef rooms_methods[] = {
    {"sessions_ahead", sessions_ahead, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
