/* The search of frontrow/core/directory.py: of many viewers at a time, so that the processor waits for several of them at once. */

#include "kernel.h"

#include <string.h>

enum { ROW_BITS = 32, TAG_BITS = 31, WIDTH = 24, AT_ONCE = 64 };

#define OF_SESSION 0x9E3779B97F4A7C15u
#define SPREAD 0xD6E8FEB86659FD93u

/* directory_rows(rows, sessions, viewers, table, shift, heads, session_of) -> the places of those who are to be asked one by one

   rows: int64, to be written: the row of each viewer, or -1; sessions: int64, their numbers; viewers: a list of texts. table: int64, with
   empty slots (0) at its end; heads: uint64 by row, three words; session_of: int32 by row. To be asked one by one are ids that are
   not ASCII, longer than what heads hold, or have a zero in them. */
static PyObject *directory_rows(PyObject *self, PyObject *args)
{
    enum { ROWS, SESSIONS, TABLE, HEADS, SESSION_OF, ARRAYS };
    static const char sizes[ARRAYS] = {8, 8, 8, 8, 4};
    PyObject *given[ARRAYS], *viewers, *others = NULL;
    Py_buffer held[ARRAYS];
    int shift, count = 0;

    (void)self;
    if (!PyArg_ParseTuple(args, "OOO!OiOO", &given[ROWS], &given[SESSIONS], &PyList_Type, &viewers, &given[TABLE], &shift,
                          &given[HEADS], &given[SESSION_OF])) {
        return NULL;
    }
    for (; count < ARRAYS; count++) {
        if (hold_array(given[count], sizes[count], count == ROWS, &held[count]) < 0) {
            goto fail;
        }
    }
    Py_ssize_t wanted = PyList_GET_SIZE(viewers), slots = held[TABLE].len / 8, most = held[SESSION_OF].len / 4;
    const int64_t *sessions = held[SESSIONS].buf, *table = held[TABLE].buf;
    const int32_t *session_of = held[SESSION_OF].buf;
    const char *heads = held[HEADS].buf;
    int64_t *rows = held[ROWS].buf;

    if (held[ROWS].len != wanted * 8 || held[SESSIONS].len != wanted * 8 || held[HEADS].len < most * WIDTH || shift < 0 ||
        shift > TAG_BITS) {
        PyErr_SetString(PyExc_ValueError, "the arrays differ in length");
        goto fail;
    }
    others = PyList_New(0);
    if (others == NULL) {
        goto fail;
    }
    for (Py_ssize_t start = 0; start < wanted; start += AT_ONCE) {
        Py_ssize_t part = wanted - start < AT_ONCE ? wanted - start : AT_ONCE;
        int64_t tags[AT_ONCE], slot_of[AT_ONCE];

        for (Py_ssize_t i = 0; i < part; i++) {
            Py_hash_t hash = PyObject_Hash(PyList_GET_ITEM(viewers, start + i));

            if (hash == -1 && PyErr_Occurred()) {
                goto fail;
            }
            tags[i] = (int64_t)((((uint64_t)hash + (uint64_t)sessions[start + i] * OF_SESSION) * SPREAD) >> (64 - TAG_BITS));
            slot_of[i] = tags[i] >> shift;
            if (slot_of[i] >= slots) {
                PyErr_SetString(PyExc_ValueError, "the table is too short");
                goto fail;
            }
            __builtin_prefetch(table + slot_of[i]);
        }
        for (Py_ssize_t i = 0; i < part; i++) { /* the first row with the tag, if any: it is the one, as good as surely */
            int64_t entry, slot = slot_of[i];

            while (slot < slots && (entry = table[slot]) != 0) {
                int64_t row = (entry & 0xFFFFFFFF) - 1;

                if (entry >> ROW_BITS == tags[i] && row >= 0 && row < most) {
                    __builtin_prefetch(heads + row * WIDTH);
                    __builtin_prefetch(session_of + row);
                    break;
                }
                slot++;
            }
            slot_of[i] = slot;
        }
        for (Py_ssize_t i = 0; i < part; i++) {
            PyObject *viewer = PyList_GET_ITEM(viewers, start + i);
            int64_t entry, slot = slot_of[i];
            char own[WIDTH] = {0};
            Py_ssize_t length = PyUnicode_Check(viewer) && PyUnicode_IS_COMPACT_ASCII(viewer) ? PyUnicode_GET_LENGTH(viewer) : -1;

            rows[start + i] = -1;
            if (length >= 0 && length <= WIDTH) {
                memcpy(own, PyUnicode_DATA(viewer), (size_t)length);
            }
            if (length < 0 || length > WIDTH || memchr(own, 0, (size_t)length) != NULL) {
                PyObject *place = PyLong_FromSsize_t(start + i);
                int added = place == NULL ? -1 : PyList_Append(others, place);

                Py_XDECREF(place);
                if (added < 0) {
                    goto fail;
                }
                continue;
            }
            while (slot < slots && (entry = table[slot]) != 0) {
                int64_t row = (entry & 0xFFFFFFFF) - 1;

                if (entry >> ROW_BITS == tags[i] && row >= 0 && row < most && session_of[row] == sessions[start + i] &&
                    memcmp(heads + row * WIDTH, own, WIDTH) == 0) {
                    rows[start + i] = row;
                    break;
                }
                slot++;
            }
        }
    }
    goto done;
fail:
    Py_CLEAR(others);
done:
    while (count > 0) {
        PyBuffer_Release(&held[--count]);
    }
    return others;
}

PyMethodDef directory_methods[] = {
    {"directory_rows", directory_rows, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};
