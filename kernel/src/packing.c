/* How the columns of a frame are written for the journal. frontrow/storage/frames.py says what for, and does the same with numpy and
msgspec. What a function does not know to write (a number of more than 64 bits, an object of another type) it leaves to them: it
gives None then. None of these runs Python's code, so a list stays as it is meanwhile. */

#include "writing.h"

#define AHEAD 32       /* objects whose memory is asked for before it is their turn: they lie where other work put them */
#define AT_FIRST 24    /* bytes of a value, as a guess */
#define HEAD 9         /* bytes of a number in msgpack, or of what stands before a text, at most */
#define OF_CHARACTER 4 /* bytes of UTF-8, at most */

static inline void put_number(Sink *sink, int head, uint64_t number, int bytes) /* msgpack's: the high byte first */
{
    *sink->at++ = (unsigned char)head;
    while (bytes-- > 0) {
        *sink->at++ = (unsigned char)(number >> 8 * bytes);
    }
}

static inline void write_8(unsigned char *at, uint64_t number) /* the low byte first */
{
    for (int byte = 0; byte < 8; byte++) {
        at[byte] = (unsigned char)(number >> 8 * byte);
    }
}

static inline void warm(PyObject *list, Py_ssize_t position)
{
    if (position < PyList_GET_SIZE(list)) {
        __builtin_prefetch(PyList_GET_ITEM(list, position));
        __builtin_prefetch((char *)PyList_GET_ITEM(list, position) + 64);
    }
}

static int utf8_bytes_of(int kind) /* of a character at most */
{
    return kind == PyUnicode_1BYTE_KIND ? 2 : kind == PyUnicode_2BYTE_KIND ? 3 : OF_CHARACTER;
}

/* ---------------------------------------------------------------- msgpack */

static void put_text_head(Sink *sink, Py_ssize_t size)
{
    if (size < 32) {
        *sink->at++ = (unsigned char)(0xa0 | size);
    } else if (size <= 0xff) {
        put_number(sink, 0xd9, (uint64_t)size, 1);
    } else if (size <= 0xffff) {
        put_number(sink, 0xda, (uint64_t)size, 2);
    } else {
        put_number(sink, 0xdb, (uint64_t)size, 4);
    }
}

static int put_text(Sink *sink, PyObject *text)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(text), size = length;

    if (length > UINT32_MAX / OF_CHARACTER) {
        return UNKNOWN;
    }
    if (PyUnicode_IS_ASCII(text)) {
        if (make_room(sink, HEAD + size) < 0) {
            return FAILED;
        }
        put_text_head(sink, size);
        memcpy(sink->at, PyUnicode_DATA(text), (size_t)size);
        sink->at += size;
        return WRITTEN;
    }
    if (make_room(sink, HEAD + utf8_bytes_of(PyUnicode_KIND(text)) * length) < 0) {
        return FAILED;
    }
    unsigned char *body = sink->at + HEAD, *end = write_text(body, text, 0); /* how long it gets is known behind it */
    if (end == NULL) {
        return FAILED;
    }
    size = end - body;
    put_text_head(sink, size);
    memmove(sink->at, body, (size_t)size);
    sink->at += size;
    return WRITTEN;
}

static int put_whole(Sink *sink, PyObject *value)
{
    int64_t number;

    if (make_room(sink, HEAD) < 0) {
        return FAILED;
    }
    if (read_whole(value, &number) != WRITTEN) {
        return UNKNOWN;
    }
    if (number >= 0) {
        if (number < 0x80) {
            *sink->at++ = (unsigned char)number;
        } else if (number <= 0xff) {
            put_number(sink, 0xcc, (uint64_t)number, 1);
        } else if (number <= 0xffff) {
            put_number(sink, 0xcd, (uint64_t)number, 2);
        } else if (number <= 0xffffffff) {
            put_number(sink, 0xce, (uint64_t)number, 4);
        } else {
            put_number(sink, 0xcf, (uint64_t)number, 8);
        }
    } else if (number >= -32) {
        *sink->at++ = (unsigned char)number;
    } else if (number >= INT8_MIN) {
        put_number(sink, 0xd0, (uint64_t)number, 1);
    } else if (number >= INT16_MIN) {
        put_number(sink, 0xd1, (uint64_t)number, 2);
    } else if (number >= INT32_MIN) {
        put_number(sink, 0xd2, (uint64_t)number, 4);
    } else {
        put_number(sink, 0xd3, (uint64_t)number, 8);
    }
    return WRITTEN;
}

static int put_msgpack(Sink *sink, PyObject *value)
{
    if (PyUnicode_CheckExact(value)) {
        return put_text(sink, value);
    }
    if (PyLong_CheckExact(value)) {
        return put_whole(sink, value);
    }
    if (value != Py_None && value != Py_True && value != Py_False) {
        return UNKNOWN;
    }
    if (make_room(sink, 1) < 0) {
        return FAILED;
    }
    *sink->at++ = value == Py_None ? 0xc0 : value == Py_True ? 0xc3 : 0xc2;
    return WRITTEN;
}

/* ---------------------------------------------------------------- JSON */

static int put_json(Sink *sink, PyObject *value)
{
    if (value == Py_None) {
        if (make_room(sink, 5) < 0) {
            return FAILED;
        }
        memcpy(sink->at, "null,", 5);
        sink->at += 5;
        return WRITTEN;
    }
    if (!PyUnicode_CheckExact(value)) {
        return UNKNOWN;
    }
    Py_ssize_t length = PyUnicode_GET_LENGTH(value);
    if (length > PY_SSIZE_T_MAX / 16) {
        return UNKNOWN;
    }
    if (make_room(sink, ESCAPED * length + 3) < 0) {
        return FAILED;
    }
    *sink->at++ = '"';
    unsigned char *at = write_text(sink->at, value, 1);
    if (at == NULL) {
        return FAILED;
    }
    *at++ = '"';
    *at++ = ',';
    sink->at = at;
    return WRITTEN;
}

/* ---------------------------------------------------------------- columns */

/* Whether every value is the one that need not be told; of no values, yes. */
static int is_nothing_but(PyObject *column, PyObject *untold)
{
    Py_ssize_t length = PyList_GET_SIZE(column), i = 0;

    while (i < length && PyList_GET_ITEM(column, i) == untold) {
        i++;
    }
    return i == length;
}

static int is_column(PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2 || !PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "a list is wanted, and perhaps the value of which it need not tell");
        return 0;
    }
    return 1;
}

PyDoc_STRVAR(msgpack_doc,
    "msgpack_column(column, untold)\n--\n\n"
    "Return a list of texts, whole numbers, truth values and None as msgpack has it; a list of nothing but `untold`, if that is\n"
    "given, as None. None: it holds something else, or a number of more than 64 bits.");

static PyObject *msgpack_column(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Sink sink;
    int done = WRITTEN;

    if (!is_column(args, count)) {
        return NULL;
    }
    if (count == 2 && is_nothing_but(args[0], args[1])) {
        return PyBytes_FromString("\xc0");
    }
    Py_ssize_t length = PyList_GET_SIZE(args[0]);
    if (length > UINT32_MAX) {
        return Py_NewRef(Py_None);
    }
    if (open_sink(&sink, HEAD + AT_FIRST * length) < 0) {
        return NULL;
    }
    if (length < 16) {
        *sink.at++ = (unsigned char)(0x90 | length);
    } else if (length <= 0xffff) {
        put_number(&sink, 0xdc, (uint64_t)length, 2);
    } else {
        put_number(&sink, 0xdd, (uint64_t)length, 4);
    }
    for (Py_ssize_t i = 0; i < length && done == WRITTEN; i++) {
        warm(args[0], i + AHEAD);
        done = put_msgpack(&sink, PyList_GET_ITEM(args[0], i));
    }
    return close_sink(&sink, done);
}

PyDoc_STRVAR(json_doc,
    "json_column(column, untold)\n--\n\n"
    "Return a list of texts and None as JSON has it; a list of nothing but `untold`, if that is given, as null. None: it holds\n"
    "something else.");

static PyObject *json_column(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Sink sink;
    int done = WRITTEN;

    if (!is_column(args, count)) {
        return NULL;
    }
    if (count == 2 && is_nothing_but(args[0], args[1])) {
        return PyBytes_FromString("null");
    }
    Py_ssize_t length = PyList_GET_SIZE(args[0]);
    if (open_sink(&sink, 2 + AT_FIRST * length) < 0) {
        return NULL;
    }
    *sink.at++ = '[';
    for (Py_ssize_t i = 0; i < length && done == WRITTEN; i++) {
        warm(args[0], i + AHEAD);
        done = put_json(&sink, PyList_GET_ITEM(args[0], i));
    }
    if (done == WRITTEN) {
        if (length == 0 && make_room(&sink, 1) < 0) {
            done = FAILED;
        } else if (length == 0) {
            *sink.at++ = ']';
        } else {
            sink.at[-1] = ']'; /* over the last comma */
        }
    }
    return close_sink(&sink, done);
}

PyDoc_STRVAR(differences_doc,
    "write_differences(numbers)\n--\n\n"
    "Return the first number and the difference of each from the one before it, as numbers of 64 bits, the low byte first, which\n"
    "overflow. None: one of them is no number of 64 bits.");

static PyObject *write_differences(PyObject *Py_UNUSED(module), PyObject *numbers)
{
    Sink sink;
    int done = WRITTEN;
    uint64_t before = 0;

    if (!PyList_Check(numbers)) {
        PyErr_SetString(PyExc_TypeError, "a list is wanted");
        return NULL;
    }
    Py_ssize_t length = PyList_GET_SIZE(numbers);
    if (open_sink(&sink, 8 * length) < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < length && done == WRITTEN; i++) {
        int64_t number;
        done = read_whole(PyList_GET_ITEM(numbers, i), &number);
        write_8(sink.at, (uint64_t)number - before);
        sink.at += 8;
        before = (uint64_t)number;
    }
    return close_sink(&sink, done);
}

PyDoc_STRVAR(least_doc,
    "least_and_most(numbers)\n--\n\n"
    "Return the smallest and the largest of a list of numbers. None: there are none, or one of them is no number of 64 bits.");

static PyObject *least_and_most(PyObject *Py_UNUSED(module), PyObject *numbers)
{
    int64_t least = INT64_MAX, most = INT64_MIN, number;

    if (!PyList_Check(numbers)) {
        PyErr_SetString(PyExc_TypeError, "a list is wanted");
        return NULL;
    }
    Py_ssize_t length = PyList_GET_SIZE(numbers);
    for (Py_ssize_t i = 0; i < length; i++) {
        if (read_whole(PyList_GET_ITEM(numbers, i), &number) != WRITTEN) {
            Py_RETURN_NONE;
        }
        least = number < least ? number : least;
        most = number > most ? number : most;
    }
    if (length == 0) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("LL", (long long)least, (long long)most);
}

PyDoc_STRVAR(numbers_doc,
    "write_numbers(numbers, width, kinds, kind)\n--\n\n"
    "Return numbers of `width` bytes, the low byte first; where a list of kinds is given, those alone whose kind is `kind`, and b'' if\n"
    "all numbers are 0. None: one of them is no number of so many bytes, or a kind no text.");

static PyObject *write_numbers(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if ((count != 2 && count != 4) || !PyList_Check(args[0]) ||
        (count == 4 && (!PyList_Check(args[2]) || !PyUnicode_Check(args[3])))) {
        PyErr_SetString(PyExc_TypeError, "a list of numbers, their width and perhaps a list of kinds and a kind are wanted");
        return NULL;
    }
    Py_ssize_t length = PyList_GET_SIZE(args[0]), width = PyLong_AsSsize_t(args[1]);
    if (width < 1 || width > 8 || (count == 4 && PyList_GET_SIZE(args[2]) != length)) {
        if (!PyErr_Occurred()) {
            PyErr_SetString(PyExc_ValueError, "1 to 8 bytes, and as many kinds as numbers are wanted");
        }
        return NULL;
    }
    uint64_t largest = width == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * width) - 1, any = 0;
    PyObject *same = NULL; /* the kind once more, as the object that the frame's events share */
    Sink sink;
    int done = WRITTEN;
    if (open_sink(&sink, width * length + 8) < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < length && done == WRITTEN; i++) {
        int64_t number;
        if (read_whole(PyList_GET_ITEM(args[0], i), &number) != WRITTEN || number < 0 || (uint64_t)number > largest) {
            done = UNKNOWN;
            break;
        }
        any |= (uint64_t)number;
        if (count == 4 && PyList_GET_ITEM(args[2], i) != same) {
            PyObject *kind = PyList_GET_ITEM(args[2], i);
            if (!PyUnicode_CheckExact(kind)) {
                done = UNKNOWN;
                break;
            }
            if (PyUnicode_GET_LENGTH(kind) != PyUnicode_GET_LENGTH(args[3]) || PyUnicode_Compare(kind, args[3]) != 0) {
                continue;
            }
            same = kind;
        }
        write_8(sink.at, (uint64_t)number);
        sink.at += width;
    }
    if (done == WRITTEN && count == 4 && any == 0) {
        sink.at = (unsigned char *)PyBytes_AS_STRING(sink.bytes);
    }
    return close_sink(&sink, done);
}

PyMethodDef packing_methods[] = {
    {"json_column", (PyCFunction)(void (*)(void))json_column, METH_FASTCALL, json_doc},
    {"least_and_most", least_and_most, METH_O, least_doc},
    {"msgpack_column", (PyCFunction)(void (*)(void))msgpack_column, METH_FASTCALL, msgpack_doc},
    {"write_differences", write_differences, METH_O, differences_doc},
    {"write_numbers", (PyCFunction)(void (*)(void))write_numbers, METH_FASTCALL, numbers_doc},
    {NULL, NULL, 0, NULL},
};
