/* Bytes that grow while texts and numbers are written into them, for packing.c and telling.c. */

#ifndef FRONTROW_WRITING_H
#define FRONTROW_WRITING_H

#include "kernel.h"

#include <string.h>

#define ESCAPED 6 /* bytes of a character in JSON, at most */

enum { UNKNOWN = -2, FAILED = -1, WRITTEN = 0 };

/* ---------------------------------------------------------------- bytes that grow */

typedef struct {
    PyObject *bytes;
    unsigned char *at, *end;
} Sink;

static inline int open_sink(Sink *sink, Py_ssize_t size)
{
    sink->bytes = PyBytes_FromStringAndSize(NULL, size);
    if (sink->bytes == NULL) {
        return -1;
    }
    sink->at = (unsigned char *)PyBytes_AS_STRING(sink->bytes);
    sink->end = sink->at + size;
    return 0;
}

static inline int make_room(Sink *sink, Py_ssize_t wanted)
{
    if (sink->end - sink->at >= wanted) {
        return 0;
    }
    Py_ssize_t written = sink->at - (unsigned char *)PyBytes_AS_STRING(sink->bytes), size = written + written / 2 + wanted;
    if (_PyBytes_Resize(&sink->bytes, size) < 0) {
        return -1;
    }
    sink->at = (unsigned char *)PyBytes_AS_STRING(sink->bytes) + written;
    sink->end = (unsigned char *)PyBytes_AS_STRING(sink->bytes) + size;
    return 0;
}

/* Return what was written; for what is UNKNOWN None, and NULL for what FAILED. */
static inline PyObject *close_sink(Sink *sink, int done)
{
    if (done != WRITTEN) {
        Py_CLEAR(sink->bytes);
        return done == FAILED ? NULL : Py_NewRef(Py_None);
    }
    _PyBytes_Resize(&sink->bytes, sink->at - (unsigned char *)PyBytes_AS_STRING(sink->bytes));
    return sink->bytes;
}

/* ---------------------------------------------------------------- texts */

/* Write a character that is not ASCII as UTF-8; NULL: it is half a surrogate pair, of which there is none. */
static inline unsigned char *write_character(unsigned char *at, Py_UCS4 code)
{
    if (code < 0x800) {
        *at++ = (unsigned char)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            if (code >= 0xd800 && code < 0xe000) {
                return NULL;
            }
            *at++ = (unsigned char)(0xe0 | code >> 12);
        } else {
            *at++ = (unsigned char)(0xf0 | code >> 18);
            *at++ = (unsigned char)(0x80 | (code >> 12 & 0x3f));
        }
        *at++ = (unsigned char)(0x80 | (code >> 6 & 0x3f));
    }
    *at++ = (unsigned char)(0x80 | (code & 0x3f));
    return at;
}

/* What stands behind the backslash in JSON; 0: the character stands for itself. */
static const unsigned char escapes[128] = {
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u', /* control characters */
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\',
};

static inline unsigned char *escape(unsigned char *at, unsigned char character)
{
    static const char digits[] = "0123456789abcdef";

    *at++ = '\\';
    *at++ = escapes[character];
    if (escapes[character] == 'u') {
        *at++ = '0';
        *at++ = '0';
        *at++ = (unsigned char)digits[character >> 4];
        *at++ = (unsigned char)digits[character & 15];
    }
    return at;
}

/* Inlined for each kind of text, which makes a loop of its own of it. */
static inline Py_ALWAYS_INLINE unsigned char *write_characters(unsigned char *at, PyObject *text, int kind, int escaping)
{
    const void *data = PyUnicode_DATA(text);
    Py_ssize_t length = PyUnicode_GET_LENGTH(text);

    for (Py_ssize_t i = 0; i < length; i++) {
        Py_UCS4 code = PyUnicode_READ(kind, data, i);
        if (code >= 0x80) {
            at = write_character(at, code);
            if (at == NULL) {
                return NULL;
            }
        } else if (escaping && escapes[code] != 0) {
            at = escape(at, (unsigned char)code);
        } else {
            *at++ = (unsigned char)code;
        }
    }
    return at;
}

/* Write a text as UTF-8 to where there is room for it; NULL with an exception: it holds half a surrogate pair. */
static inline Py_ALWAYS_INLINE unsigned char *write_text(unsigned char *at, PyObject *text, int escaping)
{
    unsigned char *end;

    switch (PyUnicode_KIND(text)) {
    case PyUnicode_1BYTE_KIND:
        end = write_characters(at, text, PyUnicode_1BYTE_KIND, escaping);
        break;
    case PyUnicode_2BYTE_KIND:
        end = write_characters(at, text, PyUnicode_2BYTE_KIND, escaping);
        break;
    default:
        end = write_characters(at, text, PyUnicode_4BYTE_KIND, escaping);
    }
    if (end == NULL && PyUnicode_AsUTF8(text) != NULL) { /* raises what Python does */
        PyErr_SetString(PyExc_SystemError, "a text has UTF-8 and has none");
    }
    return end;
}

/* Read a number of 64 bits; UNKNOWN of anything else. */
static inline int read_whole(PyObject *value, int64_t *number)
{
    int beyond = 1;

    *number = PyLong_CheckExact(value) ? PyLong_AsLongLongAndOverflow(value, &beyond) : 0;
    return beyond == 0 ? WRITTEN : UNKNOWN;
}

#endif
