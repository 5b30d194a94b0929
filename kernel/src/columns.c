/* From JSON to columns: events of the common form, read once and never an object.

What is not of the common form (half a surrogate pair, a number with an exponent, a key that is unknown or there twice, whatever is broken or out of its bounds) is left to Python, an event at a time. So nothing is refused here, and
what is taken is what msgspec takes, with the same values. Fields, types and bounds are told by Python; none stands here. */

#include "kernel.h"

#include <string.h>

#define MOST_FIELDS 64
#define SLOTS 256 /* of the table of keys; more than enough for MOST_FIELDS to lie apart */
#define REPEATED 128 /* different values that are known again within a block */
#define LONGEST_NUMBER 18 /* digits: any of them fits 64 bits */
#define LONGEST_FLOAT 40
#define LONGEST_ESCAPED 24576 /* bytes of a text with escapes, six for each of the 4,096 characters of the longest */
#define WORD 8 /* bytes that are looked at together */
#define MOST_NAME (2 * WORD - 3)
#define BIT(number) ((uint64_t)1 << (number))
#define EACH(byte) (0x0101010101010101u * (uint64_t)(byte))

enum {
    TEXT = 't',
    KEY = 'k', /* a text without control characters */
    CODE = 'c', /* three letters A to Z */
    WHOLE = 'i',
    REAL = 'f',
    FLAG = 'b',
    OBJECT = 'd', /* whatever it holds; read by Python, by itself */
    OTHER = 'o', /* what is never of the common form */
};

typedef struct {
    char type;
    int nullable, required, repeated;
    int column; /* or -1: seldom */
    int64_t low, high; /* of a number, or of a text's characters */
    const char *name;
    Py_ssize_t length;
    uint64_t head[2], mask[2]; /* of the name with what surrounds it: "name": */
    PyObject *key; /* the name */
    PyObject *none; /* what stands where the field is not given */
} Field;

typedef struct {
    int fields, columns;
    int kind; /* which of the fields says what an event is */
    int needs; /* kinds that need a field */
    struct {
        PyObject *kind; /* the object that stands for this kind in all columns */
        int field;
    } need[8];
    uint64_t required, seldom; /* fields, a bit each */
    Field field[MOST_FIELDS];
    int of_column[MOST_FIELDS]; /* which field is a column */
    unsigned char slot[SLOTS]; /* 1 + the field that is looked for first */
    PyObject *told; /* what the pointers above point into */
} Layout;

/* An event's values where a bit says that there is one. */
typedef struct {
    uint64_t given;
    PyObject *of[MOST_FIELDS];
} Values;

typedef struct {
    const char *at;
    Py_ssize_t length;
    PyObject *value;
} Known;

typedef struct {
    const Layout *layout;
    const char *at, *end;
    PyObject **rows; /* an event's columns after another's */
    Py_ssize_t events, room;
    PyObject *seldom;
    PyObject *read_one, *read_object;
    unsigned char next[MOST_FIELDS + 1]; /* which field came behind this one; writers keep an order */
    Known known[REPEATED];
} Reading;

static unsigned slot_of(const char *name, Py_ssize_t length)
{
    unsigned first = (unsigned char)name[0], last = (unsigned char)name[length - 1];

    return (first * 7 + last * 31 + (unsigned)length * 101) % SLOTS;
}

/* ---------------------------------------------------------------- the layout */

static void free_layout(PyObject *capsule)
{
    Layout *layout = PyCapsule_GetPointer(capsule, "frontrow_kernel.layout");

    for (int i = 0; i < layout->needs; i++) {
        Py_DECREF(layout->need[i].kind);
    }
    Py_XDECREF(layout->told);
    PyMem_Free(layout);
}

static int add_field(Layout *layout, PyObject *told)
{
    Field *field = &layout->field[layout->fields];
    const char *type;

    if (!PyArg_ParseTuple(told, "UspppiLLO", &field->key, &type, &field->nullable, &field->required, &field->repeated,
                          &field->column, &field->low, &field->high, &field->none)) {
        return -1;
    }
    if (field->column >= MOST_FIELDS) {
        PyErr_SetString(PyExc_ValueError, "no such column");
        return -1;
    }
    field->type = type[0];
    field->name = PyUnicode_AsUTF8AndSize(field->key, &field->length);
    if (field->name == NULL) {
        return -1;
    }
    if (field->length == 0 || field->length > MOST_NAME) {
        PyErr_SetString(PyExc_ValueError, "a field without a name, or with a longer one than there is room for");
        return -1;
    }
    char head[2 * WORD] = {'"'}, mask[2 * WORD] = {0};
    memcpy(head + 1, field->name, (size_t)field->length);
    memcpy(head + 1 + field->length, "\":", 2);
    memset(mask, 0xff, (size_t)field->length + 3);
    memcpy(field->head, head, sizeof head);
    memcpy(field->mask, mask, sizeof mask);
    if (field->column >= layout->columns) {
        layout->columns = field->column + 1;
    }
    if (field->column >= 0) {
        layout->of_column[field->column] = layout->fields;
    } else {
        layout->seldom |= BIT(layout->fields);
    }
    if (field->required) {
        layout->required |= BIT(layout->fields);
    }
    unsigned slot = slot_of(field->name, field->length);
    while (layout->slot[slot]) {
        slot = (slot + 1) % SLOTS;
    }
    layout->slot[slot] = (unsigned char)++layout->fields;
    return 0;
}

static int add_need(Layout *layout, PyObject *told)
{
    int number = layout->needs;

    if (number >= (int)(sizeof layout->need / sizeof layout->need[0])) {
        PyErr_SetString(PyExc_ValueError, "more kinds with a need than there is room for");
        return -1;
    }
    PyObject *kind;
    int field;
    if (!PyArg_ParseTuple(told, "Ui", &kind, &field)) {
        return -1;
    }
    if (field < 0 || field >= layout->fields) {
        PyErr_SetString(PyExc_ValueError, "a kind needs a field that is not there");
        return -1;
    }
    layout->need[number].kind = Py_NewRef(kind);
    layout->need[number].field = field;
    layout->needs++;
    return 0;
}

PyDoc_STRVAR(layout_doc,
    "event_layout(fields, kind, needs)\n--\n\n"
    "Return what read_events() must know of an event. fields: (name, type, nullable, required, repeated, column or -1, low,\n"
    "high, what stands for none) of each; kind: which of them is the kind; needs: (kind, field that it cannot do without).");

static PyObject *event_layout(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *fields, *needs;
    int kind;

    if (!PyArg_ParseTuple(args, "O!iO!", &PyTuple_Type, &fields, &kind, &PyTuple_Type, &needs)) {
        return NULL;
    }
    if (PyTuple_GET_SIZE(fields) > MOST_FIELDS || kind < 0 || kind >= PyTuple_GET_SIZE(fields)) {
        PyErr_SetString(PyExc_ValueError, "too many fields, or none of them the kind");
        return NULL;
    }
    Layout *layout = PyMem_Calloc(1, sizeof(Layout));
    if (layout == NULL) {
        return PyErr_NoMemory();
    }
    layout->kind = kind;
    PyObject *capsule = PyCapsule_New(layout, "frontrow_kernel.layout", free_layout);
    if (capsule == NULL) {
        PyMem_Free(layout);
        return NULL;
    }
    layout->told = Py_NewRef(args);
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(fields); i++) {
        if (add_field(layout, PyTuple_GET_ITEM(fields, i)) < 0) {
            Py_DECREF(capsule);
            return NULL;
        }
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(needs); i++) {
        if (add_need(layout, PyTuple_GET_ITEM(needs, i)) < 0) {
            Py_DECREF(capsule);
            return NULL;
        }
    }
    return capsule;
}

/* ---------------------------------------------------------------- values

Each function returns a new reference, or NULL: with an exception where something went wrong, without one where the text is
not of the common form. */

static inline void skip_spaces(Reading *reading)
{
    for (; reading->at < reading->end; reading->at++) {
        char next = *reading->at;
        if (next != ' ' && next != '\t' && next != '\r' && next != '\n') {
            return;
        }
    }
}

/* Whether a word comes, and what it is of is then behind it. */
static inline int takes(Reading *reading, const char *word, Py_ssize_t length)
{
    if (reading->end - reading->at < length || memcmp(reading->at, word, (size_t)length) != 0) {
        return 0;
    }
    reading->at += length;
    return 1;
}

static inline uint64_t word_at(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

/* The high bit of each byte that is 0, and perhaps of some behind the first such. */
static inline uint64_t zeros_of(uint64_t word)
{
    return (word - EACH(0x01)) & ~word & EACH(0x80);
}

/* The length of a text, from behind its first quote; reading goes on behind its last. -1: not of the common form. */
static inline Py_ssize_t text_length(Reading *reading, int *plain, int *escaped)
{
    const char *begin = reading->at, *end = reading->end, *at = begin;
    uint64_t beyond = 0;

    /* A word with a quote, an escape, a control or (which is looked at by itself, too) a byte above ASCII ends the first loop. */
    for (; end - at >= WORD; at += WORD) {
        uint64_t word = word_at(at);
        uint64_t ends = zeros_of(word ^ EACH('"')) | zeros_of(word ^ EACH('\\')) | ((word - EACH(' ')) & ~word & EACH(0x80));
        if (ends) {
            break;
        }
        beyond |= word;
    }
    *escaped = 0;
    for (; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < ' ') {
            return -1;
        }
        if (*at == '\\') {
            *escaped = 1;
            at++; /* what is escaped may be a quote; whether it may be escaped is asked later */
            if (at == end) {
                return -1;
            }
        }
        beyond |= (unsigned char)*at;
    }
    if (at >= end) {
        return -1;
    }
    *plain = !(beyond & EACH(0x80));
    reading->at = at + 1;
    return at - begin;
}

/* One character of UTF-8 that is not ASCII, and how long it is; 0 where it is none. */
static inline int character_at(const unsigned char *at, Py_ssize_t left, Py_UCS4 *character)
{
#define FOLLOWS(place) ((at[place] & 0xc0) == 0x80)
    if (at[0] >= 0xc2 && at[0] < 0xe0 && left >= 2 && FOLLOWS(1)) {
        *character = (Py_UCS4)(at[0] & 0x1f) << 6 | (at[1] & 0x3f);
        return 2;
    }
    if (at[0] >= 0xe0 && at[0] < 0xf0 && left >= 3 && FOLLOWS(1) && FOLLOWS(2)) {
        *character = (Py_UCS4)(at[0] & 0x0f) << 12 | (Py_UCS4)(at[1] & 0x3f) << 6 | (at[2] & 0x3f);
        return *character >= 0x800 && (*character < 0xd800 || *character > 0xdfff) ? 3 : 0;
    }
    if (at[0] >= 0xf0 && at[0] < 0xf5 && left >= 4 && FOLLOWS(1) && FOLLOWS(2) && FOLLOWS(3)) {
        *character = (Py_UCS4)(at[0] & 0x07) << 18 | (Py_UCS4)(at[1] & 0x3f) << 12 | (Py_UCS4)(at[2] & 0x3f) << 6 | (at[3] & 0x3f);
        return *character >= 0x10000 && *character <= 0x10ffff ? 4 : 0;
    }
    return 0;
#undef FOLLOWS
}

/* The text of UTF-8 that is not all ASCII. What Python's decoder does in several passes and with a copy. */
static PyObject *wide_text(const char *begin, Py_ssize_t length)
{
    const unsigned char *bytes = (const unsigned char *)begin;
    Py_UCS4 character, widest = 127;
    Py_ssize_t characters = 0;

    for (Py_ssize_t i = 0; i < length; characters++) {
        int width = 1;
        if (bytes[i] >= 0x80) {
            width = character_at(bytes + i, length - i, &character);
            if (width == 0) {
                return NULL;
            }
            if (character > widest) {
                widest = character;
            }
        }
        i += width;
    }
    PyObject *text = PyUnicode_New(characters, widest);
    if (text == NULL) {
        return NULL;
    }
    int kind = PyUnicode_KIND(text);
    void *data = PyUnicode_DATA(text);
    for (Py_ssize_t i = 0, place = 0; i < length; place++) {
        character = bytes[i];
        i += character < 0x80 ? 1 : character_at(bytes + i, length - i, &character);
        PyUnicode_WRITE(kind, data, place, character);
    }
    return text;
}

static inline PyObject *new_text(const char *begin, Py_ssize_t length, int plain)
{
    if (!plain) {
        return wide_text(begin, length);
    }
    PyObject *text = PyUnicode_New(length, 127);
    if (text != NULL) {
        memcpy(PyUnicode_1BYTE_DATA(text), begin, (size_t)length);
    }
    return text;
}

/* The number that four hexadecimal digits are; -1: they are not. */
static int32_t hexadecimal(const char *at, const char *end)
{
    int32_t number = 0;

    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        char digit = at[i];
        int value = digit >= '0' && digit <= '9'   ? digit - '0'
                    : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
                    : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                                   : -1;
        if (value < 0) {
            return -1;
        }
        number = number << 4 | value;
    }
    return number;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *out++ = (char)(0xe0 | code >> 12);
        } else {
            *out++ = (char)(0xf0 | code >> 18);
            *out++ = (char)(0x80 | (code >> 12 & 0x3f));
        }
        *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    }
    *out++ = (char)(0x80 | (code & 0x3f));
    return out;
}

/* Write a text without its escapes, which is never longer than with them; return how long it is, or -1 where one is none. */
static Py_ssize_t unescaped(const char *at, Py_ssize_t length, char *out)
{
    static const char escapes[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *end = at + length, *begin = out;

    while (at < end) {
        if (*at != '\\') {
            *out++ = *at++;
            continue;
        }
        if (end - at < 2) {
            return -1;
        }
        const char *which = memchr(escapes, at[1], sizeof escapes - 1);
        if (which != NULL) {
            *out++ = meant[which - escapes];
            at += 2;
            continue;
        }
        int32_t code = at[1] == 'u' ? hexadecimal(at + 2, end) : -1;
        at += 6;
        if (code >= 0xd800 && code < 0xdc00) {
            int32_t low = end - at >= 6 && at[0] == '\\' && at[1] == 'u' ? hexadecimal(at + 2, end) : -1;
            code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((code - 0xd800) << 10 | (low - 0xdc00)) : -1;
            at += 6;
        }
        if (code < 0 || (code >= 0xd800 && code < 0xe000)) {
            return -1;
        }
        out = put_utf8(out, (uint32_t)code);
    }
    return out - begin;
}

static inline int may_have_controls(const char *begin, Py_ssize_t length, int plain)
{
    return memchr(begin, 0x7f, (size_t)length) != NULL || (!plain && memchr(begin, 0xc2, (size_t)length) != NULL);
}

/* A text with escapes. Of writers that escape all that is not ASCII, which is most of those that are asked for nothing else. */
static PyObject *escaped_text(const Field *field, const char *begin, Py_ssize_t length)
{
    char text[LONGEST_ESCAPED];
    int plain = 1;

    length = length > LONGEST_ESCAPED ? -1 : unescaped(begin, length, text);
    if (length < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < length; i++) {
        plain &= !((unsigned char)text[i] & 0x80);
        if (field->type == KEY && (unsigned char)text[i] < ' ') {
            return NULL;
        }
    }
    if (length < field->low || field->type == CODE || (field->type == KEY && may_have_controls(text, length, plain))) {
        return NULL;
    }
    return new_text(text, length, plain);
}

static int is_code(const char *begin, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        if (begin[i] < 'A' || begin[i] > 'Z') {
            return 0;
        }
    }
    return length == 3;
}

/* Let a kind that needs a field be the layout's object, by which it is known. Interning would do the same, and in Python 3.12 let
   each kind that ever comes stay for good: kinds come from outside. */
static PyObject *kind_of(const Layout *layout, PyObject *text)
{
    for (int i = 0; text != NULL && i < layout->needs; i++) {
        if (PyUnicode_Compare(text, layout->need[i].kind) == 0) {
            Py_SETREF(text, Py_NewRef(layout->need[i].kind));
        }
    }
    return text;
}

static inline PyObject *known_text(Reading *reading, const char *begin, Py_ssize_t length, int plain, int is_kind)
{
    unsigned first = (unsigned char)begin[0], last = (unsigned char)begin[length - 1];
    unsigned middle = (unsigned char)begin[length / 2];
    Known *known = &reading->known[(first + middle * 5 + last * 17 + (unsigned)length * 3) % REPEATED];

    if (known->value == NULL || known->length != length || memcmp(known->at, begin, (size_t)length) != 0) {
        PyObject *text = new_text(begin, length, plain);
        if (text == NULL) {
            return NULL;
        }
        if (is_kind) {
            text = kind_of(reading->layout, text);
        }
        Py_XSETREF(known->value, text);
        known->at = begin;
        known->length = length;
    }
    return Py_NewRef(known->value);
}

/* Whether a text has as many characters as it may. */
static inline int has_its_length(const Field *field, PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);

    return length >= field->low && length <= field->high;
}

static PyObject *read_text(Reading *reading, const Field *field)
{
    int plain, escaped;

    if (!takes(reading, "\"", 1)) {
        return NULL;
    }
    const char *begin = reading->at;
    Py_ssize_t length = text_length(reading, &plain, &escaped);
    if (length < 0) {
        return NULL;
    }
    if (escaped) {
        PyObject *text = escaped_text(field, begin, length);
        if (text != NULL && !has_its_length(field, text)) {
            Py_CLEAR(text);
        }
        return field == &reading->layout->field[reading->layout->kind] ? kind_of(reading->layout, text) : text;
    }
    /* A character has four bytes at most. */
    if (length < field->low || length > 4 * field->high) {
        return NULL;
    }
    if (field->type == KEY && may_have_controls(begin, length, plain)) {
        return NULL;
    }
    if (field->type == CODE && !is_code(begin, length)) {
        return NULL;
    }
    PyObject *text = field->repeated && length > 0
                         ? known_text(reading, begin, length, plain, field == &reading->layout->field[reading->layout->kind])
                         : new_text(begin, length, plain);
    if (text != NULL && !has_its_length(field, text)) {
        Py_CLEAR(text);
    }
    return text;
}

static PyObject *read_whole(Reading *reading, const Field *field)
{
    int negative = takes(reading, "-", 1);
    const char *begin = reading->at;
    int64_t number = 0;

    while (reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9') {
        if (reading->at - begin == LONGEST_NUMBER) {
            return NULL;
        }
        number = number * 10 + (*reading->at++ - '0');
    }
    Py_ssize_t digits = reading->at - begin;
    if (digits == 0 || (begin[0] == '0' && (digits > 1 || negative))) {
        return NULL;
    }
    if (negative) {
        number = -number;
    }
    return number < field->low || number > field->high ? NULL : PyLong_FromLongLong(number);
}

static PyObject *read_real(Reading *reading, const Field *field)
{
    char digits[LONGEST_FLOAT + 1];
    const char *begin = reading->at;
    int whole = 0, part = 0;

    while (reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9') {
        reading->at++;
        whole++;
    }
    if (whole == 0 || (begin[0] == '0' && whole > 1)) {
        return NULL;
    }
    if (takes(reading, ".", 1)) {
        while (reading->at < reading->end && *reading->at >= '0' && *reading->at <= '9') {
            reading->at++;
            part++;
        }
        if (part == 0) {
            return NULL;
        }
    }
    Py_ssize_t length = reading->at - begin;
    if (length > LONGEST_FLOAT) {
        return NULL;
    }
    memcpy(digits, begin, (size_t)length);
    digits[length] = '\0';
    double number = PyOS_string_to_double(digits, NULL, NULL);
    if (number == -1.0 && PyErr_Occurred()) {
        return NULL;
    }
    return number < (double)field->low || number > (double)field->high ? NULL : PyFloat_FromDouble(number);
}

/* Where the object that begins here ends, if it is one; else anywhere, or NULL. Whoever reads what lies between says which. */
static const char *object_end(const char *at, const char *end)
{
    Py_ssize_t depth = 0;

    for (; at < end; at++) {
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == '"') {
            for (at++; at < end && *at != '"'; at++) {
                at += *at == '\\';
            }
        }
        if (depth <= 0) {
            return at < end ? at + 1 : NULL;
        }
    }
    return NULL;
}

static PyObject *read_object(Reading *reading)
{
    const char *begin = reading->at, *end = object_end(begin, reading->end);

    if (begin == reading->end || *begin != '{' || end == NULL) {
        return NULL;
    }
    reading->at = end;
    PyObject *object = PyObject_CallFunction(reading->read_object, "y#", begin, (Py_ssize_t)(end - begin));
    if (object == Py_None) {
        Py_CLEAR(object);
    }
    return object;
}

static PyObject *read_value(Reading *reading, const Field *field)
{
    if (field->nullable && takes(reading, "null", 4)) {
        return Py_NewRef(Py_None);
    }
    switch (field->type) {
    case TEXT:
    case KEY:
    case CODE:
        return read_text(reading, field);
    case WHOLE:
        return read_whole(reading, field);
    case REAL:
        return read_real(reading, field);
    case FLAG:
        if (takes(reading, "true", 4)) {
            return Py_NewRef(Py_True);
        }
        return takes(reading, "false", 5) ? Py_NewRef(Py_False) : NULL;
    case OBJECT:
        return read_object(reading);
    default:
        return NULL;
    }
}

/* ---------------------------------------------------------------- events */

static int field_of(const Layout *layout, const char *name, Py_ssize_t length)
{
    if (length == 0) {
        return -1;
    }
    for (unsigned slot = slot_of(name, length); layout->slot[slot]; slot = (slot + 1) % SLOTS) {
        int number = layout->slot[slot] - 1;
        if (layout->field[number].length == length && memcmp(layout->field[number].name, name, (size_t)length) == 0) {
            return number;
        }
    }
    return -1;
}

/* Which field a name is of, and reading goes on behind its colon; -1: not of the common form. */
static inline int read_name(Reading *reading, int before)
{
    const Layout *layout = reading->layout;
    int plain, escaped, number = reading->next[before];

    if (reading->end - reading->at >= 2 * WORD) {
        const Field *field = &layout->field[number];
        uint64_t differs = ((word_at(reading->at) ^ field->head[0]) & field->mask[0])
                           | ((word_at(reading->at + WORD) ^ field->head[1]) & field->mask[1]);
        if (!differs) {
            reading->at += field->length + 3;
            return number;
        }
    }
    if (!takes(reading, "\"", 1)) {
        return -1;
    }
    const char *name = reading->at;
    Py_ssize_t length = text_length(reading, &plain, &escaped);
    if (length < 0 || escaped || (number = field_of(layout, name, length)) < 0) {
        return -1;
    }
    reading->next[before] = (unsigned char)number;
    skip_spaces(reading);
    return takes(reading, ":", 1) ? number : -1;
}

/* Read an object's fields. 1, 0 where it is not of the common form, or -1 with an exception. */
static int read_fields(Reading *reading, Values *values)
{
    const Layout *layout = reading->layout;
    int number = MOST_FIELDS;

    if (!takes(reading, "{", 1)) {
        return 0;
    }
    do {
        skip_spaces(reading);
        number = read_name(reading, number);
        if (number < 0 || values->given & BIT(number)) {
            return 0;
        }
        skip_spaces(reading);
        PyObject *value = read_value(reading, &layout->field[number]);
        if (value == NULL) {
            return PyErr_Occurred() ? -1 : 0;
        }
        values->of[number] = value;
        values->given |= BIT(number);
        skip_spaces(reading);
    } while (takes(reading, ",", 1));
    return takes(reading, "}", 1);
}

static int says_something(const Layout *layout, const Values *values)
{
    if (layout->required & ~values->given) {
        return 0;
    }
    for (int i = 0; i < layout->needs; i++) {
        int needed = layout->need[i].field;
        if (values->of[layout->kind] == layout->need[i].kind
            && (!(values->given & BIT(needed)) || values->of[needed] == Py_None)) {
            return 0;
        }
    }
    return 1;
}

/* Read the values of an event that Python has made of a line. */
static int fields_of(const Layout *layout, PyObject *event, Values *values)
{
    for (int i = 0; i < layout->fields; i++) {
        values->of[i] = PyObject_GetAttr(event, layout->field[i].key);
        if (values->of[i] == NULL) {
            return -1;
        }
        values->given |= BIT(i);
    }
    return 0;
}

static int keep_seldom(Reading *reading, const Field *field, PyObject *value)
{
    PyObject *by_position = PyDict_GetItemWithError(reading->seldom, field->key);

    if (by_position == NULL) {
        if (PyErr_Occurred() || (by_position = PyDict_New()) == NULL) {
            return -1;
        }
        int kept = PyDict_SetItem(reading->seldom, field->key, by_position);
        Py_DECREF(by_position);
        if (kept < 0) {
            return -1;
        }
    }
    PyObject *position = PyLong_FromSsize_t(reading->events);
    if (position == NULL) {
        return -1;
    }
    int kept = PyDict_SetItem(by_position, position, value);
    Py_DECREF(position);
    return kept;
}

/* Put an event's values behind those of the last; they are taken over. */
static int add_event(Reading *reading, Values *values)
{
    const Layout *layout = reading->layout;

    if (reading->events == reading->room) {
        Py_ssize_t room = reading->room + reading->room / 2 + 64;
        PyObject **rows = PyMem_Realloc(reading->rows, (size_t)(room * layout->columns) * sizeof(PyObject *));
        if (rows == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        reading->rows = rows;
        reading->room = room;
    }
    for (uint64_t seldom = values->given & layout->seldom; seldom; seldom &= seldom - 1) {
        int number = __builtin_ctzll(seldom);
        if (values->of[number] != Py_None && keep_seldom(reading, &layout->field[number], values->of[number]) < 0) {
            return -1;
        }
    }
    PyObject **row = reading->rows + reading->events++ * layout->columns;
    for (int i = 0; i < layout->columns; i++) {
        int number = layout->of_column[i];
        row[i] = values->given & BIT(number) ? values->of[number] : Py_NewRef(layout->field[number].none);
    }
    values->given &= layout->seldom;
    return 0;
}

/* Let Python read what is not of the common form. 1, 0 if it is no event, or -1 with an exception. */
static int read_by(PyObject *read_one, const char *begin, const char *end, const Layout *layout, Values *values)
{
    PyObject *event = PyObject_CallFunction(read_one, "y#", begin, (Py_ssize_t)(end - begin));

    if (event == NULL) {
        return -1;
    }
    int read = event == Py_None ? 0 : (fields_of(layout, event, values) < 0 ? -1 : 1);
    Py_DECREF(event);
    return read;
}

static void clear_values(Values *values)
{
    for (; values->given; values->given &= values->given - 1) {
        Py_DECREF(values->of[__builtin_ctzll(values->given)]);
    }
}

/* Read one event, which is all up to `stop`; or, where that is NULL, an object. 1, 0 if it is none, or -1 with an exception. */
static int read_event(Reading *reading, const char *stop)
{
    Values values;
    const char *begin = reading->at, *end = reading->end;

    values.given = 0;
    reading->end = stop == NULL ? end : stop;
    int read = read_fields(reading, &values);
    if (read > 0 && stop != NULL) {
        skip_spaces(reading);
        read = reading->at == stop;
    }
    read = read > 0 ? says_something(reading->layout, &values) : read;
    reading->end = end;
    if (read == 0) {
        clear_values(&values);
        reading->at = stop == NULL ? object_end(begin, end) : stop;
        read = reading->at == NULL ? 0 : read_by(reading->read_one, begin, reading->at, reading->layout, &values);
    }
    if (read > 0 && add_event(reading, &values) < 0) {
        read = -1;
    }
    clear_values(&values);
    return read;
}

static int read_lines(Reading *reading)
{
    for (;;) {
        size_t left = (size_t)(reading->end - reading->at);
        const char *stop = left ? memchr(reading->at, '\n', left) : NULL;
        int read = read_event(reading, stop == NULL ? reading->end : stop);
        if (read <= 0 || stop == NULL) {
            return read;
        }
        reading->at = stop + 1;
    }
}

static int read_array(Reading *reading)
{
    int read, first = 1;

    if (!takes(reading, "[", 1)) {
        return 0;
    }
    for (;; first = 0) {
        skip_spaces(reading);
        if (first && takes(reading, "]", 1)) {
            break;
        }
        if ((read = read_event(reading, NULL)) <= 0) {
            return read;
        }
        skip_spaces(reading);
        if (takes(reading, "]", 1)) {
            break;
        }
        if (!takes(reading, ",", 1)) {
            return 0;
        }
    }
    skip_spaces(reading);
    return reading->at == reading->end;
}

static PyObject *columns_of(Reading *reading)
{
    const Layout *layout = reading->layout;
    PyObject *columns = PyTuple_New(layout->columns + 1);

    if (columns == NULL) {
        return NULL;
    }
    for (int i = 0; i < layout->columns; i++) {
        PyObject *column = PyList_New(reading->events);
        if (column == NULL) {
            Py_DECREF(columns);
            return NULL;
        }
        PyTuple_SET_ITEM(columns, i, column);
    }
    PyObject **row = reading->rows;
    for (Py_ssize_t event = 0; event < reading->events; event++) {
        for (int i = 0; i < layout->columns; i++) {
            PyList_SET_ITEM(PyTuple_GET_ITEM(columns, i), event, *row++);
        }
    }
    reading->events = 0; /* they are the lists' now */
    PyTuple_SET_ITEM(columns, layout->columns, Py_NewRef(reading->seldom));
    return columns;
}

PyDoc_STRVAR(read_doc,
    "read_events(layout, block, read_one, read_object, is_array)\n--\n\n"
    "Return the events of NDJSON lines, or of a JSON array, as columns, and the dictionary of what is seldom; None where a line\n"
    "or an element is no event. read_one gives the event of one (bytes) that is not of the common form, or None if it is none;\n"
    "read_object the dictionary of a field that is one, or None if the event is to be given to read_one.");

static PyObject *read_events(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_buffer block;

    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "a layout, a block, two functions and whether it is an array are wanted");
        return NULL;
    }
    int is_array = PyObject_IsTrue(args[4]);
    if (is_array < 0) {
        return NULL;
    }
    Reading reading = {.layout = PyCapsule_GetPointer(args[0], "frontrow_kernel.layout")};
    if (reading.layout == NULL || PyObject_GetBuffer(args[1], &block, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    reading.at = block.buf;
    reading.end = reading.at + block.len;
    reading.read_one = args[2];
    reading.read_object = args[3];
    reading.seldom = PyDict_New();
    PyObject *found = NULL;
    if (reading.seldom != NULL) {
        int read = is_array ? read_array(&reading) : read_lines(&reading);
        if (read >= 0) {
            found = read ? columns_of(&reading) : Py_NewRef(Py_None);
        }
    }
    for (Py_ssize_t i = 0; i < reading.events * reading.layout->columns; i++) {
        Py_DECREF(reading.rows[i]);
    }
    PyMem_Free(reading.rows);
    for (int i = 0; i < REPEATED; i++) {
        Py_XDECREF(reading.known[i].value);
    }
    Py_XDECREF(reading.seldom);
    PyBuffer_Release(&block);
    return found;
}

/* ---------------------------------------------------------------- columns of few different texts */

PyDoc_STRVAR(codes_doc,
    "code_column(column)\n--\n\n"
    "Return a column's different values, in the order in which they come, and each one's number, of 16 bits, the low byte first.");

static PyObject *code_column(PyObject *Py_UNUSED(module), PyObject *column)
{
    if (!PyList_Check(column)) {
        PyErr_SetString(PyExc_TypeError, "a list is wanted");
        return NULL;
    }
    Py_ssize_t length = PyList_GET_SIZE(column), last_code = 0;
    PyObject *values = PyList_New(0), *known = PyDict_New(), *last = NULL;
    PyObject *codes = PyBytes_FromStringAndSize(NULL, 2 * length);
    unsigned char *out = codes == NULL ? NULL : (unsigned char *)PyBytes_AS_STRING(codes);

    /* A value may have Python's own comparison, which may change the list. */
    for (Py_ssize_t i = 0; values != NULL && known != NULL && codes != NULL && i < length; i++) {
        PyObject *value = Py_NewRef(i < PyList_GET_SIZE(column) ? PyList_GET_ITEM(column, i) : Py_None);
        if (value == last) { /* neighbours are often one object */
            Py_DECREF(value);
        } else {
            Py_XSETREF(last, value);
            PyObject *code = PyDict_GetItemWithError(known, value);
            if (code == NULL) {
                Py_ssize_t next = PyList_GET_SIZE(values);
                if (next > 0xffff) {
                    PyErr_SetString(PyExc_OverflowError, "more different values than 16 bits tell apart");
                }
                code = PyErr_Occurred() ? NULL : PyLong_FromSsize_t(next);
                if (code == NULL || PyDict_SetItem(known, value, code) < 0 || PyList_Append(values, value) < 0) {
                    Py_XDECREF(code);
                    Py_CLEAR(codes);
                    break;
                }
                Py_DECREF(code);
            }
            last_code = PyLong_AsSsize_t(code);
        }
        out[2 * i] = (unsigned char)(last_code & 0xff);
        out[2 * i + 1] = (unsigned char)(last_code >> 8);
    }
    Py_XDECREF(last);
    Py_XDECREF(known);
    PyObject *found = values != NULL && codes != NULL ? PyTuple_Pack(2, values, codes) : NULL;
    Py_XDECREF(values);
    Py_XDECREF(codes);
    return found;
}

PyMethodDef columns_methods[] = {
    {"code_column", code_column, METH_O, codes_doc},
    {"event_layout", event_layout, METH_VARARGS, layout_doc},
    {"read_events", (PyCFunction)(void (*)(void))read_events, METH_FASTCALL, read_doc},
    {NULL, NULL, 0, NULL},
};
