/* The loops of frontrow/core/crowd.py, over the dictionaries that it holds. */

#include "kernel.h"

#include <math.h>

enum { YOUNG, OLD, GENERATIONS };

enum { VIEWERS, LINES_OF, NEAR, SAID, NAMES };
static const char *const names_of_talks[NAMES] = {"viewers", "lines", "near", "said"};

typedef struct {
    PyObject *const *names; /* of a talk's attributes: made once a call, since to make them again costs as much as the rest */
    PyObject *talk; /* all are borrowed from `talks`, which nothing else changes meanwhile */
    PyObject *viewers[GENERATIONS], *lines[GENERATIONS], *near[GENERATIONS];
    long long said;
} Talk;

/* The item of a key, as a new reference; NULL with or without an exception. */
static PyObject *item_of(PyObject *dict, PyObject *key)
{
    PyObject *item = PyDict_GetItemWithError(dict, key);

    Py_XINCREF(item);
    return item;
}

/* The same, and it is taken out. */
static PyObject *pop_of(PyObject *dict, PyObject *key)
{
    PyObject *item = item_of(dict, key);

    if (item != NULL && PyDict_DelItem(dict, key) < 0) {
        Py_CLEAR(item);
    }
    return item;
}

static int generations(PyObject *talk, PyObject *name, PyObject *parts[GENERATIONS])
{
    PyObject *both = PyObject_GetAttr(talk, name);
    int good = both != NULL && PyTuple_Check(both) && PyTuple_GET_SIZE(both) == GENERATIONS;

    for (int i = 0; good && i < GENERATIONS; i++) {
        parts[i] = PyTuple_GET_ITEM(both, i);
        good = PyDict_Check(parts[i]);
    }
    Py_XDECREF(both); /* the talk holds it still */
    if (!good && !PyErr_Occurred()) {
        PyErr_Format(PyExc_TypeError, "%U must be two dictionaries", name);
    }
    return good ? 0 : -1;
}

static int begin_talk(Talk *now, PyObject *talk)
{
    PyObject *said;

    now->talk = talk;
    if (generations(talk, now->names[VIEWERS], now->viewers) < 0 || generations(talk, now->names[LINES_OF], now->lines) < 0 ||
        generations(talk, now->names[NEAR], now->near) < 0) {
        return -1;
    }
    said = PyObject_GetAttr(talk, now->names[SAID]);
    if (said == NULL) {
        return -1;
    }
    now->said = PyLong_AsLongLong(said);
    Py_DECREF(said);
    return PyErr_Occurred() ? -1 : 0;
}

static int end_talk(Talk *now)
{
    PyObject *said;
    int result;

    if (now->talk == NULL) {
        return 0;
    }
    said = PyLong_FromLongLong(now->said);
    if (said == NULL) {
        return -1;
    }
    result = PyObject_SetAttr(now->talk, now->names[SAID], said);
    Py_DECREF(said);
    return result;
}

/* dict[key] = its number + 1, which `number` is */
static int count_one(PyObject *dict, PyObject *key, PyObject *number)
{
    PyObject *more = PyLong_FromLongLong(PyLong_AsLongLong(number) + 1);
    int result = more == NULL ? -1 : PyDict_SetItem(dict, key, more);

    Py_XDECREF(more);
    return result;
}

/* Find a line's list, moving it to the young generation; return it as a new reference. `*line` may become another one. */
static PyObject *find_line(Talk *now, long long sketch, long long bits, PyObject **line, int *fresh)
{
    PyObject *known = item_of(now->lines[YOUNG], *line), *near, *like;

    if (known != NULL || PyErr_Occurred()) {
        return known;
    }
    *fresh = 1;
    known = pop_of(now->lines[OLD], *line);
    if (known == NULL && !PyErr_Occurred()) {
        near = PyLong_FromLongLong(sketch & ((1LL << bits) - 1));
        if (near == NULL) {
            return NULL;
        }
        like = item_of(now->near[YOUNG], near);
        if (like == NULL && !PyErr_Occurred()) {
            like = item_of(now->near[OLD], near);
            if (like == NULL && !PyErr_Occurred()) {
                like = Py_NewRef(*line);
            }
            if (like != NULL && PyDict_SetItem(now->near[YOUNG], near, like) < 0) {
                Py_CLEAR(like);
            }
        }
        Py_DECREF(near);
        if (like == NULL) {
            return NULL;
        }
        if (PyLong_AsLongLong(like) != PyLong_AsLongLong(*line)) {
            Py_SETREF(*line, Py_NewRef(like));
            known = item_of(now->lines[YOUNG], *line);
            *fresh = known == NULL;
            if (known == NULL && !PyErr_Occurred()) {
                known = pop_of(now->lines[OLD], *line);
            }
        }
        Py_DECREF(like);
    }
    if (known == NULL && !PyErr_Occurred()) {
        known = Py_BuildValue("[i]", 0);
        if (known != NULL) {
            PyObject_GC_UnTrack(known); /* numbers and texts make no cycle: nothing for the collector to walk */
        }
    }
    if (known != NULL && *fresh && PyDict_SetItem(now->lines[YOUNG], *line, known) < 0) {
        Py_CLEAR(known);
    }
    return known;
}

/* Take one comment; return how many viewers and lines are new in the young generation, or -1. */
static int hear_one(Talk *now, PyObject *viewer, long long sketch, long long bits, Py_ssize_t most_lines, Py_ssize_t speakers)
{
    PyObject *line = PyLong_FromLongLong(sketch >> bits), *known = NULL, *own = NULL, *often, *number;
    int fresh = 0, result = -1;

    if (line == NULL) {
        return -1;
    }
    known = find_line(now, sketch, bits, &line, &fresh);
    if (known != NULL && (!PyList_Check(known) || PyList_GET_SIZE(known) < 1)) {
        PyErr_SetString(PyExc_TypeError, "a line is a list that begins with a number");
    }
    if (known == NULL || PyErr_Occurred()) {
        goto done;
    }
    number = PyLong_FromLongLong(PyLong_AsLongLong(PyList_GET_ITEM(known, 0)) + 1);
    if (number == NULL || PyList_SetItem(known, 0, number) < 0) {
        goto done;
    }
    now->said++;
    own = item_of(now->viewers[YOUNG], viewer);
    if (own == NULL && !PyErr_Occurred()) {
        fresh++;
        own = pop_of(now->viewers[OLD], viewer);
        if (own == NULL && !PyErr_Occurred()) {
            own = PyDict_New();
        }
        if (own != NULL && PyDict_SetItem(now->viewers[YOUNG], viewer, own) < 0) {
            goto done;
        }
    }
    if (own == NULL) {
        goto done;
    }
    often = PyDict_GetItemWithError(own, line);
    if (often != NULL) {
        result = count_one(own, line, often);
        goto done;
    }
    number = PyLong_FromLong(1);
    if (PyErr_Occurred() || number == NULL || PyDict_SetItem(own, line, number) < 0) {
        Py_XDECREF(number);
        goto done;
    }
    Py_DECREF(number);
    if (PyDict_GET_SIZE(own) > most_lines) {
        Py_ssize_t place = 0;
        PyObject *first, *its;

        if (PyDict_Next(own, &place, &first, &its)) {
            Py_INCREF(first);
            result = PyDict_DelItem(own, first);
            Py_DECREF(first);
            if (result < 0) {
                goto done;
            }
        }
    }
    result = PyList_Append(known, viewer);
    if (result == 0 && PyList_GET_SIZE(known) > speakers + 1) {
        result = PyList_SetSlice(known, 1, 2, NULL);
    }
done:
    Py_DECREF(line);
    Py_XDECREF(known);
    Py_XDECREF(own);
    return result < 0 ? -1 : fresh;
}

/* Take the comments of three lists; return how many viewers and lines are new in the young generation, or -1. */
static long hear_all(Talk *now, PyObject *talks, PyObject *new_talk, PyObject *const lists[3], long long bits, Py_ssize_t lines,
                     Py_ssize_t speakers)
{
    long long session = 0;
    long fresh = 0;

    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(lists[0]); i++) {
        PyObject *key = PyList_GET_ITEM(lists[0], i), *talk;
        long long number = PyLong_AsLongLong(key), sketch = PyLong_AsLongLong(PyList_GET_ITEM(lists[2], i));
        int found;

        if (PyErr_Occurred()) {
            return -1;
        }
        if (now->talk == NULL || number != session) {
            if (end_talk(now) < 0) {
                return -1;
            }
            talk = PyDict_GetItemWithError(talks, key);
            if (talk == NULL) {
                if (PyErr_Occurred() || (talk = PyObject_CallNoArgs(new_talk)) == NULL) {
                    return -1;
                }
                found = PyDict_SetItem(talks, key, talk);
                Py_DECREF(talk);
                if (found < 0) {
                    return -1;
                }
            }
            if (begin_talk(now, talk) < 0) {
                return -1;
            }
            session = number;
        }
        found = hear_one(now, PyList_GET_ITEM(lists[1], i), sketch, bits, lines, speakers);
        if (found < 0) {
            return -1;
        }
        fresh += found;
    }
    return end_talk(now) < 0 ? -1 : fresh;
}

/* crowd_hear(talks, new_talk, sessions, viewers, sketches, (bits, lines, speakers)) -> how many are new

   talks: {session: talk}; new_talk() makes one; sessions, viewers, sketches: lists of one length. */
static PyObject *crowd_hear(PyObject *self, PyObject *args)
{
    PyObject *talks, *new_talk, *lists[3], *names[NAMES] = {NULL};
    Py_ssize_t lines, speakers;
    long long bits;
    long fresh = -1;
    Talk now = {.names = names};
    int made = 0;

    (void)self;
    if (!PyArg_ParseTuple(args, "O!OO!O!O!(Lnn)", &PyDict_Type, &talks, &new_talk, &PyList_Type, &lists[0], &PyList_Type,
                          &lists[1], &PyList_Type, &lists[2], &bits, &lines, &speakers)) {
        return NULL;
    }
    if (bits < 0 || bits > 62 || PyList_GET_SIZE(lists[1]) != PyList_GET_SIZE(lists[0]) ||
        PyList_GET_SIZE(lists[2]) != PyList_GET_SIZE(lists[0])) {
        PyErr_SetString(PyExc_ValueError, "the lists differ in length, or a sketch has no so many bits");
        return NULL;
    }
    while (made < NAMES && (names[made] = PyUnicode_InternFromString(names_of_talks[made])) != NULL) {
        made++;
    }
    if (made == NAMES) {
        fresh = hear_all(&now, talks, new_talk, lists, bits, lines, speakers);
    }
    while (made > 0) {
        Py_DECREF(names[--made]);
    }
    return fresh < 0 ? NULL : PyLong_FromLong(fresh);
}

enum { OWN_LINES = 64 };

/* crowd_partners(own, viewer, popular, viewers, share, chances, bound, chance) -> (partners, by chance, {line: partners})

   own: {line: times} of the viewer; popular: lists of lines' speakers, each behind how often it was said; viewers: the two
   generations {viewer: {line: times}}. chances: a list by count, None where chance(count) was not asked yet; a count above
   `bound`, its last place, is as likely as that. */
static PyObject *crowd_partners(PyObject *self, PyObject *args)
{
    PyObject *own, *viewer, *popular, *young, *old, *chances, *chance, *met = NULL, *shared = NULL, *result = NULL;
    PyObject *key, *value;
    double share, by_chance = 0.0;
    long long lines[OWN_LINES];
    long partners = 0, common_of[OWN_LINES] = {0};
    Py_ssize_t count = 0, place = 0, bound;

    (void)self;
    if (!PyArg_ParseTuple(args, "O!OO!(O!O!)dO!nO", &PyDict_Type, &own, &viewer, &PyList_Type, &popular, &PyDict_Type, &young,
                          &PyDict_Type, &old, &share, &PyList_Type, &chances, &bound, &chance)) {
        return NULL;
    }
    if (PyDict_GET_SIZE(own) > OWN_LINES || bound < 0 || PyList_GET_SIZE(chances) <= bound) {
        PyErr_SetString(PyExc_ValueError, "too many lines, or too few places for chances");
        return NULL;
    }
    while (PyDict_Next(own, &place, &key, &value)) {
        lines[count++] = PyLong_AsLongLong(key);
    }
    met = PyErr_Occurred() ? NULL : PySet_New(NULL);
    if (met == NULL || PySet_Add(met, viewer) < 0) {
        goto done;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(popular); i++) {
        PyObject *known = PyList_GET_ITEM(popular, i);

        if (!PyList_Check(known)) {
            PyErr_SetString(PyExc_TypeError, "a line is a list");
            goto done;
        }
        for (Py_ssize_t j = 1; j < PyList_GET_SIZE(known); j++) {
            PyObject *other = PyList_GET_ITEM(known, j), *said;
            Py_ssize_t before = PySet_GET_SIZE(met);
            long long total = 0, in_common = 0;
            double needed;
            int common = 0, places[OWN_LINES];

            if (PySet_Add(met, other) < 0) {
                goto done;
            }
            if (PySet_GET_SIZE(met) == before) {
                continue;
            }
            said = PyDict_GetItemWithError(young, other);
            if (said == NULL || PyDict_GET_SIZE(said) == 0) {
                said = PyErr_Occurred() ? NULL : PyDict_GetItemWithError(old, other);
            }
            if (said == NULL) {
                if (PyErr_Occurred()) {
                    goto done;
                }
                continue;
            }
            place = 0;
            while (PyDict_Next(said, &place, &key, &value)) {
                long long line = PyLong_AsLongLong(key), times = PyLong_AsLongLong(value);

                total += times;
                for (int k = 0; k < count; k++) {
                    if (lines[k] == line) {
                        in_common += times;
                        if (common < OWN_LINES) {
                            places[common++] = k;
                        }
                        break;
                    }
                }
            }
            if (PyErr_Occurred()) {
                goto done;
            }
            needed = ceil(share * (double)total);
            if (needed < 2.0) {
                needed = 2.0;
            }
            if ((double)total >= needed) {
                Py_ssize_t at = total < bound ? (Py_ssize_t)total : bound;
                PyObject *its = PyList_GET_ITEM(chances, at);

                if (its == Py_None) {
                    its = PyObject_CallFunction(chance, "n", at);
                    if (its == NULL || PyList_SetItem(chances, at, its) < 0) {
                        goto done;
                    }
                }
                by_chance += PyFloat_AsDouble(its);
                if (PyErr_Occurred()) {
                    goto done;
                }
            }
            if (common > 1 && (double)in_common >= needed) {
                partners++;
                for (int k = 0; k < common; k++) {
                    common_of[places[k]]++;
                }
            }
        }
    }
    if (PyErr_Occurred() || (shared = PyDict_New()) == NULL) {
        goto done;
    }
    place = 0;
    for (Py_ssize_t k = 0; PyDict_Next(own, &place, &key, &value); k++) {
        PyObject *times = PyLong_FromLong(common_of[k]);
        int set = times == NULL ? -1 : PyDict_SetItem(shared, key, times);

        Py_XDECREF(times);
        if (set < 0) {
            goto done;
        }
    }
    result = Py_BuildValue("(ldO)", partners, by_chance, shared);
done:
    Py_XDECREF(met);
    Py_XDECREF(shared);
    return result;
}

PyMethodDef crowd_methods[] = {
    {"crowd_hear", crowd_hear, METH_VARARGS, NULL},
    {"crowd_partners", crowd_partners, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
