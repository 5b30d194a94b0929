/* What is done to every text of a frame, one after another: looking for a few short patterns, sketching, sharing out what was
found. frontrow/core/automaton.py, sketches.py and intents.py say what these are for and do the same in numpy. */

#include "kernel.h"

#include <string.h>

#define MOST_PLACES 16
#define FEW 256 /* characters of a text that need no memory of their own */
#define CODES 0x110000

/* ---------------------------------------------------------------- the sieve */

typedef struct {
    int places;
    const unsigned char *fits[MOST_PLACES]; /* by place: a byte for every character below U+0100, with a bit for each pattern */
    const uint32_t *becomes; /* by code point: what it is taken for and 1 more; 0: not met yet */
    PyObject *meet;
} Sieve;

/* What a character is taken for; NUL, which parts texts elsewhere, counts as a space. -1: an exception. */
static inline int taken_for(const Sieve *sieve, Py_UCS4 character)
{
    if (character < 128) {
        return character == 0 ? ' ' : (int)character;
    }
    if (sieve->becomes[character] == 0) {
        PyObject *met = PyObject_CallFunction(sieve->meet, "I", (unsigned int)character);
        if (met == NULL) {
            return -1;
        }
        Py_DECREF(met);
    }
    return (unsigned char)(sieve->becomes[character] - 1);
}

/* Whether a text holds a pattern: 1, 0, or -1 with an exception. */
static int holds(const Sieve *sieve, PyObject *text)
{
    unsigned char few[FEW + MOST_PLACES], *taken = few;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text), found = 0;
    const void *data = PyUnicode_DATA(text);

    if (length > FEW && (taken = PyMem_Malloc((size_t)length + MOST_PLACES)) == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        int each = taken_for(sieve, PyUnicode_READ(kind, data, i));
        if (each < 0) {
            found = -1;
            break;
        }
        taken[i] = (unsigned char)each;
    }
    memset(taken + length, 0, MOST_PLACES); /* fits nowhere, so that no pattern reaches over a text's end */
    for (Py_ssize_t i = 0; i < length && found == 0; i++) {
        unsigned char fit = sieve->fits[0][taken[i]] & sieve->fits[1][taken[i + 1]];
        for (int place = 2; fit && place < sieve->places; place++) {
            fit &= sieve->fits[place][taken[i + place]];
        }
        found = fit != 0;
    }
    if (taken != few) {
        PyMem_Free(taken);
    }
    return found;
}

PyDoc_STRVAR(sift_doc,
    "sift(texts, fits, becomes, meet)\n--\n\n"
    "Return the positions of the texts (None: of nothing) that hold a pattern. fits: 256 bytes for each place, two or more;\n"
    "becomes: 32 bits for every code point; meet(code) fills in one that is not there.");

static PyObject *sift(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_buffer becomes;
    Sieve sieve;

    if (count != 4 || !PyList_Check(args[0]) || !PyList_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "lists of texts and of fits, what characters become and a function are wanted");
        return NULL;
    }
    sieve.places = (int)PyList_GET_SIZE(args[1]);
    sieve.meet = args[3];
    if (sieve.places < 2 || sieve.places > MOST_PLACES) {
        PyErr_SetString(PyExc_ValueError, "patterns have two places or more, and not so many");
        return NULL;
    }
    for (int i = 0; i < sieve.places; i++) {
        char *fits;
        Py_ssize_t length;
        if (PyBytes_AsStringAndSize(PyList_GET_ITEM(args[1], i), &fits, &length) < 0) {
            return NULL;
        }
        if (length != 256) {
            PyErr_SetString(PyExc_ValueError, "256 bytes for each place are wanted");
            return NULL;
        }
        sieve.fits[i] = (const unsigned char *)fits;
    }
    if (hold_array(args[2], sizeof(uint32_t), 0, &becomes) < 0) {
        return NULL;
    }
    sieve.becomes = becomes.buf;
    PyObject *positions = becomes.len == CODES * (Py_ssize_t)sizeof(uint32_t) ? PyList_New(0) : NULL;
    if (positions == NULL && !PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "one for every code point is wanted");
    }
    /* The list may grow shorter while a character is met. */
    for (Py_ssize_t i = 0; positions != NULL && i < PyList_GET_SIZE(args[0]); i++) {
        PyObject *text = PyList_GET_ITEM(args[0], i);
        int found = 0;
        if (PyUnicode_Check(text)) {
            Py_INCREF(text);
            found = holds(&sieve, text);
            Py_DECREF(text);
        } else if (text != Py_None) {
            PyErr_SetString(PyExc_TypeError, "texts are wanted");
            found = -1;
        }
        if (found > 0) {
            PyObject *position = PyLong_FromSsize_t(i);
            found = position == NULL ? -1 : PyList_Append(positions, position);
            Py_XDECREF(position);
        }
        if (found < 0) {
            Py_CLEAR(positions);
        }
    }
    PyBuffer_Release(&becomes);
    return positions;
}

/* ---------------------------------------------------------------- sketches */

#define PLANE 0x10000
#define RARE_BEGIN 0x20000
#define RARE_END 0x40000
#define HALF 24 /* bits of each half */

static inline uint32_t mixed(uint32_t number)
{
    number = (number ^ number >> 15) * 0x27d4eb2fu;
    number = (number ^ number >> 13) * 0x27d4eb2fu;
    return number ^ number >> 16;
}

static uint64_t sketch_of(PyObject *text, const uint32_t *folding)
{
    static const uint32_t odd[3] = {0x165667b1u, 0xd3a2646du, 0xfd7046c5u};
    uint32_t before = 0, exact = 0, place = 0, least[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX}, near = 0;
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);

    for (Py_ssize_t i = 0; i < length; i++) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        uint32_t letter = code >= RARE_BEGIN && code < RARE_END ? code : folding[code < PLANE ? code : PLANE];
        if (letter == 0) {
            continue;
        }
        if (before != 0 && letter != before) {
            uint32_t pair = mixed(before * 0x9e3779b1u + letter * 0x85ebca77u);
            exact += mixed(pair + place * 0xc2b2ae3du);
            for (int each = 0; each < 3; each++) {
                uint32_t number = pair * odd[each];
                least[each] = number < least[each] ? number : least[each];
            }
            place++;
        }
        before = letter;
    }
    if (place == 0) {
        return 0;
    }
    for (int each = 0; each < 3; each++) {
        near = mixed(near + least[each]);
    }
    near >>= 32 - HALF;
    return (uint64_t)(mixed(exact) >> (32 - HALF)) << HALF | (near ? near : 1);
}

PyDoc_STRVAR(sketches_doc,
    "sketches(texts, folding)\n--\n\n"
    "Return the sketch of each text. folding: 32 bits for each character of the first plane, and for all others together.");

static PyObject *sketches(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_buffer folding;

    if (count != 2 || !PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a list of texts and what characters fold to are wanted");
        return NULL;
    }
    if (hold_array(args[1], sizeof(uint32_t), 0, &folding) < 0) {
        return NULL;
    }
    Py_ssize_t texts = PyList_GET_SIZE(args[0]);
    PyObject *found = NULL;
    if (folding.len != (PLANE + 1) * (Py_ssize_t)sizeof(uint32_t)) {
        PyErr_SetString(PyExc_ValueError, "one for each character of the first plane is wanted, and one more");
    } else {
        found = PyList_New(texts);
    }
    for (Py_ssize_t i = 0; found != NULL && i < texts; i++) {
        PyObject *text = PyList_GET_ITEM(args[0], i), *sketch = NULL;
        if (PyUnicode_Check(text)) {
            sketch = PyLong_FromUnsignedLongLong(sketch_of(text, folding.buf));
        } else {
            PyErr_SetString(PyExc_TypeError, "texts are wanted");
        }
        if (sketch == NULL) {
            Py_CLEAR(found);
            break;
        }
        PyList_SET_ITEM(found, i, sketch);
    }
    PyBuffer_Release(&folding);
    return found;
}

/* ---------------------------------------------------------------- hits */

typedef struct {
    PyObject *forms;
    Py_ssize_t begin, end; /* of the form that is looked at */
    Py_ssize_t number; /* which it is */
} Place;

static Py_ssize_t end_from(PyObject *forms, Py_ssize_t begin)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(forms);
    Py_ssize_t end = begin < length ? PyUnicode_FindChar(forms, 0, begin, length, 1) : -1;

    return end < 0 ? length : end;
}

/* Keep the hits of a form that has a rule among them. */
static int keep_hits(PyObject *ruled, const Place *place, PyObject *found, Py_ssize_t first, Py_ssize_t last, const int64_t *numbers)
{
    PyObject *hits = PyList_New(last - first);

    if (hits == NULL) {
        return -1;
    }
    for (Py_ssize_t i = first; i < last; i++) {
        PyObject *hit = PyList_GET_ITEM(found, i);
        Py_ssize_t which = PyLong_AsSsize_t(PyTuple_GET_ITEM(hit, 0)), end = PyLong_AsSsize_t(PyTuple_GET_ITEM(hit, 2));
        PyObject *kept = Py_BuildValue("nL", end - place->begin, (long long)numbers[which]);
        if (kept == NULL) {
            Py_DECREF(hits);
            return -1;
        }
        PyList_SET_ITEM(hits, i - first, kept);
    }
    PyObject *form = PyUnicode_Substring(place->forms, place->begin, place->end);
    PyObject *kept = form == NULL ? NULL : Py_BuildValue("nOO", place->number, form, hits);
    int done = kept == NULL ? -1 : PyList_Append(ruled, kept);
    Py_XDECREF(form);
    Py_XDECREF(kept);
    Py_DECREF(hits);
    return done;
}

PyDoc_STRVAR(spread_doc,
    "spread_hits(found, numbers, forms, masks)\n--\n\n"
    "Add what was found (string, start, end, in the order of the ends) in forms with NUL between them to each form's mask: the low\n"
    "16 bits of its string's number. Return (which, form, [(end, number)]) of those with a number below 0 among them.");

static PyObject *spread_hits(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_buffer strings, forms;
    Place place = {0};

    if (count != 4 || !PyList_Check(args[0]) || !PyUnicode_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "what was found, numbers, forms and masks are wanted");
        return NULL;
    }
    if (hold_array(args[1], sizeof(int64_t), 0, &strings) < 0) {
        return NULL;
    }
    if (hold_array(args[3], sizeof(int64_t), 1, &forms) < 0) {
        PyBuffer_Release(&strings);
        return NULL;
    }
    const int64_t *numbers = strings.buf;
    int64_t *masks = forms.buf;
    Py_ssize_t known = strings.len / (Py_ssize_t)sizeof(int64_t), room = forms.len / (Py_ssize_t)sizeof(int64_t);
    Py_ssize_t hits = PyList_GET_SIZE(args[0]), first = 0;
    PyObject *ruled = PyList_New(0);
    int has_rule = 0;

    place.forms = args[2];
    place.end = end_from(args[2], 0);
    for (Py_ssize_t i = 0; ruled != NULL && i < hits; i++) {
        PyObject *hit = PyList_GET_ITEM(args[0], i);
        if (!PyTuple_Check(hit) || PyTuple_GET_SIZE(hit) != 3) {
            PyErr_SetString(PyExc_TypeError, "a hit is of three numbers");
            Py_CLEAR(ruled);
            break;
        }
        Py_ssize_t which = PyLong_AsSsize_t(PyTuple_GET_ITEM(hit, 0)), end = PyLong_AsSsize_t(PyTuple_GET_ITEM(hit, 2));
        if (which < 0 || which >= known || end < place.begin || end > PyUnicode_GET_LENGTH(args[2])) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_IndexError, "a hit of no string, or behind its text");
            }
            Py_CLEAR(ruled);
            break;
        }
        if (end > place.end) {
            if (has_rule && keep_hits(ruled, &place, args[0], first, i, numbers) < 0) {
                Py_CLEAR(ruled);
                break;
            }
            for (; end > place.end; place.number++) {
                place.begin = place.end + 1;
                place.end = end_from(args[2], place.begin);
            }
            first = i;
            has_rule = 0;
        }
        if (place.number >= room) {
            PyErr_SetString(PyExc_IndexError, "more forms than masks");
            Py_CLEAR(ruled);
            break;
        }
        if (numbers[which] < 0) {
            has_rule = 1;
        } else {
            masks[place.number] |= numbers[which] & 0xffff;
        }
    }
    if (ruled != NULL && has_rule && keep_hits(ruled, &place, args[0], first, hits, numbers) < 0) {
        Py_CLEAR(ruled);
    }
    PyBuffer_Release(&strings);
    PyBuffer_Release(&forms);
    return ruled;
}

/* ---------------------------------------------------------------- the last text of each row */

#define LONGEST_KEPT 256 /* characters */

/* Write the first characters of a text as UTF-8, half a surrogate pair as what it would be by itself; return how many bytes. */
static Py_ssize_t write_utf8(PyObject *text, Py_ssize_t characters, unsigned char *out)
{
    int kind = PyUnicode_KIND(text);
    const void *data = PyUnicode_DATA(text);
    unsigned char *at = out;

    for (Py_ssize_t i = 0; i < characters; i++) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        if (code < 0x80) {
            *at++ = (unsigned char)code;
        } else if (code < 0x800) {
            *at++ = (unsigned char)(0xc0 | code >> 6);
            *at++ = (unsigned char)(0x80 | (code & 0x3f));
        } else if (code < 0x10000) {
            *at++ = (unsigned char)(0xe0 | code >> 12);
            *at++ = (unsigned char)(0x80 | (code >> 6 & 0x3f));
            *at++ = (unsigned char)(0x80 | (code & 0x3f));
        } else {
            *at++ = (unsigned char)(0xf0 | code >> 18);
            *at++ = (unsigned char)(0x80 | (code >> 12 & 0x3f));
            *at++ = (unsigned char)(0x80 | (code >> 6 & 0x3f));
            *at++ = (unsigned char)(0x80 | (code & 0x3f));
        }
    }
    return at - out;
}

PyDoc_STRVAR(keep_doc,
    "keep_last(rows, texts, column, most)\n--\n\n"
    "Put the first `most` characters of each text, as UTF-8, at its row of a list of bytes or None; row -1 is the list's last.\n"
    "Empty texts and None change nothing, and what is there already is left.");

static PyObject *keep_last(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    unsigned char written[4 * LONGEST_KEPT];
    Py_buffer rows;
    Py_ssize_t most;

    if (count != 4 || !PyList_Check(args[1]) || !PyList_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError, "rows, a list of texts, a list to keep them in and a number are wanted");
        return NULL;
    }
    most = PyLong_AsSsize_t(args[3]);
    if (most < 0 || most > LONGEST_KEPT) {
        if (!PyErr_Occurred()) {
            PyErr_Format(PyExc_ValueError, "at most %d characters are kept", LONGEST_KEPT);
        }
        return NULL;
    }
    if (hold_array(args[0], sizeof(int64_t), 0, &rows) < 0) {
        return NULL;
    }
    Py_ssize_t texts = PyList_GET_SIZE(args[1]), room = PyList_GET_SIZE(args[2]);
    int done = 0;
    if (rows.len != texts * (Py_ssize_t)sizeof(int64_t)) {
        PyErr_SetString(PyExc_ValueError, "as many rows as texts are wanted");
        done = -1;
    }
    for (Py_ssize_t i = 0; i < texts && done == 0; i++) {
        PyObject *text = PyList_GET_ITEM(args[1], i);
        if (text == Py_None) {
            continue;
        }
        int64_t row = ((const int64_t *)rows.buf)[i];
        row += row < 0 ? room : 0;
        if (!PyUnicode_Check(text) || row < 0 || row >= room) {
            PyErr_SetString(PyExc_ValueError, "what is no text, or a row that is not there");
            done = -1;
            break;
        }
        Py_ssize_t characters = PyUnicode_GET_LENGTH(text);
        if (characters == 0) {
            continue;
        }
        Py_ssize_t length = write_utf8(text, characters < most ? characters : most, written);
        PyObject *kept = PyList_GET_ITEM(args[2], row);
        if (PyBytes_Check(kept) && PyBytes_GET_SIZE(kept) == length && memcmp(PyBytes_AS_STRING(kept), written, (size_t)length) == 0) {
            continue;
        }
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)written, length);
        done = bytes == NULL ? -1 : PyList_SetItem(args[2], (Py_ssize_t)row, bytes);
    }
    PyBuffer_Release(&rows);
    return done < 0 ? NULL : Py_NewRef(Py_None);
}

/* ---------------------------------------------------------------- what is remembered of texts */

static int set_number(PyObject *column, Py_ssize_t position, uint64_t number)
{
    PyObject *value = PyLong_FromUnsignedLongLong(number);

    return value == NULL ? -1 : PyList_SetItem(column, position, value);
}

/* Let what is known of a text be so, if its event is of the kind; 1, 0 where nothing is known, or -1 with an exception. */
static int recall_one(PyObject *const *args, Py_ssize_t position, int bits)
{
    PyObject *text = PyList_GET_ITEM(args[0], position), *kind = PyList_GET_ITEM(args[1], position);

    if (!PyUnicode_CheckExact(text) || !PyUnicode_CheckExact(kind)) { /* no comparison of theirs may change a list */
        PyErr_SetString(PyExc_TypeError, "texts are wanted");
        return -1;
    }
    PyObject *known = PyDict_GetItemWithError(args[3], text);
    if (known == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (kind != args[2] && PyUnicode_Compare(kind, args[2]) != 0) {
        return 1;
    }
    uint64_t mask = PyLong_AsUnsignedLongLong(known);
    if ((mask == UINT64_MAX && PyErr_Occurred()) || set_number(args[4], position, mask & (((uint64_t)1 << bits) - 1)) < 0 ||
        set_number(args[5], position, mask >> bits) < 0) {
        return -1;
    }
    return 1;
}

/* Whether a text has one of some characters. */
static int has_any(PyObject *text, PyObject *characters)
{
    for (Py_ssize_t i = 0; i < PyUnicode_GET_LENGTH(characters); i++) {
        Py_UCS4 character = PyUnicode_READ_CHAR(characters, i);

        if (character <= PyUnicode_MAX_CHAR_VALUE(text) && PyUnicode_FindChar(text, character, 0, PyUnicode_GET_LENGTH(text), 1) >= 0) {
            return 1;
        }
    }
    return 0;
}

static int add_position(PyObject *positions, Py_ssize_t position)
{
    PyObject *number = PyLong_FromSsize_t(position);
    int added = number == NULL ? -1 : PyList_Append(positions, number);

    Py_XDECREF(number);
    return added;
}

PyDoc_STRVAR(recall_doc,
    "recall_texts(texts, kinds, kind, known, facts, sketches, bits, positions, marks)\n--\n\n"
    "Of the texts that `known` has a mask of, write the low `bits` into facts and what is above them into sketches, if the event is of\n"
    "the kind; return the positions of the texts of which it has none, and those of texts with one of the characters `marks`, which\n"
    "are not looked at. Only of those at `positions`, or (None) of all. None and an empty text are none.");

static PyObject *recall_texts(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 9 || !PyList_Check(args[0]) || !PyList_Check(args[1]) || !PyUnicode_CheckExact(args[2]) || !PyDict_CheckExact(args[3]) ||
        !PyList_Check(args[4]) || !PyList_Check(args[5]) || !(args[7] == Py_None || PyList_Check(args[7])) || !PyUnicode_Check(args[8])) {
        PyErr_SetString(PyExc_TypeError, "columns, a kind, what is known, a number, positions and characters are wanted");
        return NULL;
    }
    Py_ssize_t texts = PyList_GET_SIZE(args[0]), asked = args[7] == Py_None ? texts : PyList_GET_SIZE(args[7]);
    int bits = (int)PyLong_AsLong(args[6]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    if (bits < 0 || bits > 63 || PyList_GET_SIZE(args[1]) != texts || PyList_GET_SIZE(args[4]) != texts || PyList_GET_SIZE(args[5]) != texts) {
        PyErr_SetString(PyExc_ValueError, "the columns differ in length, or a mask has not so many bits");
        return NULL;
    }
    PyObject *others = PyList_New(0), *marked = PyList_New(0);
    int done = others == NULL || marked == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; done == 0 && i < asked; i++) {
        Py_ssize_t position = args[7] == Py_None ? i : PyLong_AsSsize_t(PyList_GET_ITEM(args[7], i));
        int found = 1;
        if (position < 0 || position >= texts) {
            if (!PyErr_Occurred()) {
                PyErr_SetString(PyExc_IndexError, "no such position");
            }
            found = -1;
        } else {
            PyObject *text = PyList_GET_ITEM(args[0], position);
            if (text != Py_None && !(PyUnicode_Check(text) && PyUnicode_GET_LENGTH(text) == 0)) {
                if (PyUnicode_Check(text) && has_any(text, args[8])) {
                    done = add_position(marked, position);
                } else {
                    found = recall_one(args, position, bits);
                }
            }
        }
        if (found == 0) {
            done = add_position(others, position);
        } else if (found < 0) {
            done = -1;
        }
    }
    PyObject *result = done < 0 ? NULL : PyTuple_Pack(2, others, marked);
    Py_XDECREF(others);
    Py_XDECREF(marked);
    return result;
}

PyMethodDef texts_methods[] = {
    {"recall_texts", (PyCFunction)(void (*)(void))recall_texts, METH_FASTCALL, recall_doc},
    {"sift", (PyCFunction)(void (*)(void))sift, METH_FASTCALL, sift_doc},
    {"sketches", (PyCFunction)(void (*)(void))sketches, METH_FASTCALL, sketches_doc},
    {"keep_last", (PyCFunction)(void (*)(void))keep_last, METH_FASTCALL, keep_doc},
    {"spread_hits", (PyCFunction)(void (*)(void))spread_hits, METH_FASTCALL, spread_doc},
    {NULL, NULL, 0, NULL},
};
