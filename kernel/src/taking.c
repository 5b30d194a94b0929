/* Taking events one after another: what frontrow/core/engine.py does in Engine._take_of_row() to most of them, over its columns.

   A Taker is bound to the columns of viewers, to a frame, and to the sessions of a part of it. take() goes on until an event needs
   Python: what is rare is done there alone. The order of events is kept, so that each sees what the one before it has left. */

#include "kernel.h"

#include <structmember.h>

enum { DONE, APART, REGRADE }; /* why take() came back */
enum { COLD, WARM, HOT };
enum { INTENTS = 8, SPANS = 3 };
enum { AHEAD = 6, LINE = 64 }; /* events, and bytes of a cache's line */

/* The arrays, in the order in which bind(), of_frame() and the constructor are given them. */
enum {
    FIRST_AT, LAST_AT, ENTERED_AT, LEFT_AT, OBSERVED_MS, OBSERVED, ENTERS, FAN, FAN_BEFORE, STAFF, ALIKE, GRADE, GRADE_BY_POINTS,
    BUCKET, RAW, COUNTS, FADING, INTENT_COLUMNS, COLUMNS = INTENT_COLUMNS + INTENTS
};
static const char column_sizes[COLUMNS] = {8, 8, 8, 8, 8, 1, 4, 1, 1, 1, 2, 1, 1, 4, 4, 2, 4, 2, 2, 2, 2, 2, 2, 2, 2};
enum { AT, NOW, BITS, SIGN, FACTS, AMOUNT, ROW, WEIGHTS, HITS, FEEDS, IS_FAN, IS_STAFF, OF_FRAME };
static const char frame_sizes[OF_FRAME] = {8, 8, 8, 8, 8, 8, 8, 8, 8, 8, 1, 1};
enum { SETTINGS, AT_LEAST, REPEAT, POINTS, CAPS, WATCHED, WATCH_BOUNDS, SPAN_OF, MASKS, RULES };
enum { /* settings */
    CAP, HOT_FROM, WARM_FROM, HOT_LEAVE, WARM_LEAVE, BUDGET, EVERY_MS, BUCKETS, INTENT_BOUND, COUNT_BOUND, IS_SILENT, IS_ENTER,
    IS_QUESTION, IS_APART, NUMBERS
};

typedef struct {
    PyObject_HEAD
    Py_buffer columns[COLUMNS], frame[OF_FRAME], rules[RULES], which;
    int bound, of_frame, of_part;
    int64_t signs; /* that the frame's tables have */
    Py_ssize_t fed; /* columns of FEEDS */
    PyObject *touched, *active, *sessions;
    PyObject *name_rate, *name_last_at, *name_warm; /* of each Taker, so that the module holds no object: interpreters share none */
} Taker;

static void let_go(Py_buffer *views, int count)
{
    for (int i = 0; i < count; i++) {
        if (views[i].obj != NULL) {
            PyBuffer_Release(&views[i]);
        }
    }
}

/* Hold the arrays of a tuple; None where one may be missing. */
static int hold_all(PyObject *arrays, const char *sizes, int count, int writable, int may_miss, Py_buffer *views)
{
    if (!PyTuple_Check(arrays) || PyTuple_GET_SIZE(arrays) != count) {
        PyErr_Format(PyExc_TypeError, "a tuple of %d arrays is wanted", count);
        return -1;
    }
    for (int i = 0; i < count; i++) {
        PyObject *array = PyTuple_GET_ITEM(arrays, i);

        if (array == Py_None && i >= may_miss) {
            views[i].obj = NULL;
            views[i].buf = NULL;
        } else if (hold_array(array, sizes[i], writable, &views[i]) < 0) {
            return -1;
        }
    }
    return 0;
}

static void Taker_dealloc(Taker *self)
{
    PyTypeObject *type = Py_TYPE(self);

    let_go(self->columns, COLUMNS);
    let_go(self->frame, OF_FRAME);
    let_go(self->rules, RULES);
    let_go(&self->which, 1);
    Py_XDECREF(self->touched);
    Py_XDECREF(self->active);
    Py_XDECREF(self->sessions);
    Py_XDECREF(self->name_rate);
    Py_XDECREF(self->name_last_at);
    Py_XDECREF(self->name_warm);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* Whether the numbers are such that no event divides by zero or reaches beyond an array. */
static int are_rules(const Py_buffer *rules)
{
    Py_ssize_t width = rules[POINTS].len / 8;
    const int64_t *settings = rules[SETTINGS].buf, *watched = rules[WATCHED].buf, *at_least = rules[AT_LEAST].buf;
    const int64_t *span_of = rules[SPAN_OF].buf;

    if (rules[SETTINGS].len != NUMBERS * 8 || rules[MASKS].len != INTENTS * 8 || rules[WATCHED].len != rules[WATCH_BOUNDS].len ||
        rules[AT_LEAST].len != width * 8 || rules[REPEAT].len != width * 8 || rules[CAPS].len != width * 8) {
        return 0;
    }
    for (Py_ssize_t i = 0; i < width; i++) {
        if (at_least[i] < 1) {
            return 0;
        }
    }
    for (Py_ssize_t i = 0; i < rules[WATCHED].len / 8; i++) {
        if (watched[i] < 0 || watched[i] >= width) {
            return 0;
        }
    }
    for (Py_ssize_t i = 0; i < rules[SPAN_OF].len / 8; i++) {
        if (span_of[i] < 0 || span_of[i] >= SPANS) {
            return 0;
        }
    }
    return settings[EVERY_MS] > 0;
}

/* Taker(rules, touched, active): the table's arrays; {row: number of the event} and a set of rows that grow, or None. */
static int Taker_init(Taker *self, PyObject *args, PyObject *kwargs)
{
    static const char sizes[RULES] = {8, 8, 8, 8, 8, 8, 8, 8, 8};
    PyObject *rules, *touched, *active;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "no names are taken");
        return -1;
    }
    if (!PyArg_ParseTuple(args, "OOO", &rules, &touched, &active)) {
        return -1;
    }
    if (!(touched == Py_None || PyDict_Check(touched)) || !(active == Py_None || PySet_Check(active))) {
        PyErr_SetString(PyExc_TypeError, "a dictionary and a set are wanted");
        return -1;
    }
    if (self->touched != NULL) {
        PyErr_SetString(PyExc_TypeError, "made already");
        return -1;
    }
    let_go(self->rules, RULES); /* of a call that failed */
    if (hold_all(rules, sizes, RULES, 0, RULES, self->rules) < 0) {
        return -1;
    }
    if (!are_rules(self->rules)) {
        PyErr_SetString(PyExc_ValueError, "the rules' arrays have the wrong lengths, or numbers that no rule has");
        return -1;
    }
    Py_XSETREF(self->name_rate, PyUnicode_InternFromString("rate"));
    Py_XSETREF(self->name_last_at, PyUnicode_InternFromString("last_at"));
    Py_XSETREF(self->name_warm, PyUnicode_InternFromString("warm"));
    if (self->name_rate == NULL || self->name_last_at == NULL || self->name_warm == NULL) {
        return -1;
    }
    self->touched = Py_NewRef(touched);
    self->active = Py_NewRef(active);
    return 0;
}

static int is_made(const Taker *self)
{
    if (self->touched == NULL) {
        PyErr_SetString(PyExc_ValueError, "not made");
    }
    return self->touched != NULL;
}

/* bind(columns): by row, all of one length. */
static PyObject *Taker_bind(Taker *self, PyObject *arrays)
{
    Py_ssize_t rows;

    if (!is_made(self)) {
        return NULL;
    }
    self->bound = 0;
    let_go(self->columns, COLUMNS);
    if (hold_all(arrays, column_sizes, COLUMNS, 1, COLUMNS, self->columns) < 0) {
        return NULL;
    }
    rows = self->columns[FIRST_AT].len / 8;
    for (int i = 0; i < COLUMNS; i++) {
        Py_ssize_t width = i == COUNTS ? self->rules[POINTS].len / 8 : i == FADING ? self->rules[SPAN_OF].len / 8 : 1;

        if (self->columns[i].len < rows * width * column_sizes[i]) {
            PyErr_Format(PyExc_ValueError, "column %d is too short", i);
            return NULL;
        }
    }
    self->bound = 1;
    Py_RETURN_NONE;
}

/* of_frame(arrays): by event, and the tables by sign; the flags of fans and staff may be None. */
static PyObject *Taker_of_frame(Taker *self, PyObject *arrays)
{
    Py_ssize_t events, width = self->rules[POINTS].len / 8;

    if (!is_made(self)) {
        return NULL;
    }
    self->of_frame = self->of_part = 0;
    let_go(self->frame, OF_FRAME);
    if (hold_all(arrays, frame_sizes, OF_FRAME, 0, IS_FAN, self->frame) < 0) {
        return NULL;
    }
    events = self->frame[AT].len / 8;
    for (int i = 0; i < OF_FRAME; i++) {
        Py_ssize_t wanted = i == WEIGHTS ? SPANS * events * 8 : i == HITS || i == FEEDS ? 0 : events * frame_sizes[i];

        if (self->frame[i].obj != NULL && self->frame[i].len < wanted) {
            PyErr_Format(PyExc_ValueError, "array %d of the frame is too short", i);
            return NULL;
        }
    }
    self->signs = width ? self->frame[HITS].len / 8 / width : INT64_MAX;
    self->fed = self->frame[FEEDS].ndim > 1 ? self->frame[FEEDS].shape[1] : 0;
    if (self->fed && self->frame[FEEDS].len / 8 / self->fed < self->signs) {
        self->signs = self->frame[FEEDS].len / 8 / self->fed;
    }
    self->of_frame = 1;
    Py_RETURN_NONE;
}

/* of_part(sessions, which): a list, and each event's place in it (by position in the frame; -1: none). */
static PyObject *Taker_of_part(Taker *self, PyObject *args)
{
    PyObject *sessions, *which;

    if (!PyArg_ParseTuple(args, "O!O", &PyList_Type, &sessions, &which)) {
        return NULL;
    }
    self->of_part = 0;
    let_go(&self->which, 1);
    if (hold_array(which, 8, 0, &self->which) < 0) {
        return NULL;
    }
    if (self->which.len < self->frame[AT].len) {
        PyErr_SetString(PyExc_ValueError, "which is too short");
        return NULL;
    }
    Py_XSETREF(self->sessions, Py_NewRef(sessions));
    self->of_part = 1;
    Py_RETURN_NONE;
}

typedef struct {
    PyObject *session;
    double rate;
    int64_t last_at, before;
    Attribute of_rate, of_last_at;
} Present;

static int leave_session(const Taker *self, Present *now)
{
    PyObject *rate, *last_at;
    int result = 0;

    if (now->session == NULL) {
        return 0;
    }
    rate = PyFloat_FromDouble(now->rate);
    result = rate == NULL ? -1 : set_slot(&now->of_rate, now->session, self->name_rate, rate);
    Py_XDECREF(rate);
    if (result == 0 && now->last_at != now->before) {
        last_at = PyLong_FromLongLong(now->last_at);
        result = last_at == NULL ? -1 : set_slot(&now->of_last_at, now->session, self->name_last_at, last_at);
        Py_XDECREF(last_at);
    }
    now->session = NULL;
    return result;
}

static int enter_session(const Taker *self, Present *now, PyObject *session)
{
    PyObject *rate, *last_at;

    rate = get_slot(&now->of_rate, session, self->name_rate);
    if (rate == NULL) {
        return -1;
    }
    now->rate = PyFloat_AsDouble(rate);
    Py_DECREF(rate);
    last_at = get_slot(&now->of_last_at, session, self->name_last_at);
    if (last_at == NULL) {
        return -1;
    }
    now->last_at = now->before = PyLong_AsLongLong(last_at);
    Py_DECREF(last_at);
    if (PyErr_Occurred()) {
        return -1;
    }
    now->session = session;
    return 0;
}

static int64_t worth(int64_t count, int64_t at_least, int64_t repeat, int64_t points, int64_t cap)
{
    int64_t times = count / at_least;
    int64_t found = points * (times < repeat ? times : repeat);

    return found > cap ? cap : found < -cap ? -cap : found;
}

#define COLUMN(type, name) ((type *)self->columns[name].buf)
#define EVENT(type, name) ((const type *)self->frame[name].buf)
#define RULE(type, name) ((const type *)self->rules[name].buf)

/* Take note of when a viewer was there, and of what follows from that for the rules about watching. */
static void watch(Taker *self, int64_t row, int64_t at, int entering)
{
    int64_t *first_at = COLUMN(int64_t, FIRST_AT) + row, *last_at = COLUMN(int64_t, LAST_AT) + row;
    int64_t *entered_at = COLUMN(int64_t, ENTERED_AT) + row, watched;
    Py_ssize_t rules = self->rules[WATCHED].len / 8, width = self->rules[POINTS].len / 8;
    const int64_t *of_rule = RULE(int64_t, WATCHED);
    const double *bounds = RULE(double, WATCH_BOUNDS);

    if (at < *first_at) {
        *first_at = at;
    }
    if (at > *last_at) {
        *last_at = at;
    }
    if (entering) {
        COLUMN(uint32_t, ENTERS)[row]++;
        if (*entered_at == 0 || at < *entered_at) {
            *entered_at = at;
        }
    }
    if (!COLUMN(uint8_t, OBSERVED)[row]) {
        watched = *last_at - *first_at;
        watched = watched > 0 ? watched : 0;
    } else {
        watched = *entered_at && *last_at > *entered_at ? *last_at - *entered_at : 0;
        watched += COLUMN(int64_t, OBSERVED_MS)[row];
    }
    for (Py_ssize_t i = 0; i < rules; i++) {
        uint16_t *count = COLUMN(uint16_t, COUNTS) + row * width + of_rule[i];
        uint16_t now = (double)watched > bounds[i];

        /* Python asks only beyond the least of the bounds, or of whom something was observed: below, nothing has changed. */
        if (*count != now) {
            int64_t points = RULE(int64_t, POINTS)[of_rule[i]];

            *count = now;
            COLUMN(int32_t, RAW)[row] += (int32_t)(now ? points : -points);
        }
    }
}

static void hit(Taker *self, int64_t row, const int64_t *hits)
{
    Py_ssize_t width = self->rules[POINTS].len / 8;
    uint16_t *counts = COLUMN(uint16_t, COUNTS) + row * width;
    int64_t bound = RULE(int64_t, SETTINGS)[COUNT_BOUND];

    for (Py_ssize_t rule = 0; rule < width; rule++) {
        if (hits[rule] && counts[rule] < bound) {
            int64_t at_least = RULE(int64_t, AT_LEAST)[rule], repeat = RULE(int64_t, REPEAT)[rule];
            int64_t points = RULE(int64_t, POINTS)[rule], cap = RULE(int64_t, CAPS)[rule];
            int64_t before = worth(counts[rule], at_least, repeat, points, cap);

            counts[rule]++;
            COLUMN(int32_t, RAW)[row] += (int32_t)(worth(counts[rule], at_least, repeat, points, cap) - before);
        }
    }
}

/* Let a row be among those of its session who are warm, or not. */
static int set_warm(const Taker *self, PyObject *session, int64_t row, int is_warm)
{
    PyObject *warm = PyObject_GetAttr(session, self->name_warm), *key = PyLong_FromLongLong(row);
    int result = -1;

    if (warm != NULL && key != NULL) {
        if (!PyDict_Check(warm)) {
            PyErr_SetString(PyExc_TypeError, "a dictionary is wanted");
        } else if (is_warm) {
            result = PyDict_SetItem(warm, key, Py_None);
        } else {
            result = PyDict_Contains(warm, key);
            if (result > 0) {
                result = PyDict_DelItem(warm, key);
            }
        }
    }
    Py_XDECREF(warm);
    Py_XDECREF(key);
    return result;
}

/* Set a viewer's grade by points, and the grade, where both are cold or warm, before and after. 1: it is for Python to do, since somebody
   turns hot, or was; or -1. */
static int regrade(Taker *self, PyObject *session, int64_t row)
{
    const int64_t *settings = RULE(int64_t, SETTINGS);
    int64_t points = COLUMN(int32_t, RAW)[row], alike = COLUMN(uint16_t, ALIKE)[row];
    uint8_t *by_points = COLUMN(uint8_t, GRADE_BY_POINTS) + row, *its = COLUMN(uint8_t, GRADE) + row, before = *by_points, grade = COLD;

    points = points > settings[CAP] ? settings[CAP] : points < 0 ? 0 : points;
    if (alike && points > settings[BUDGET] / (alike + 1)) {
        points = settings[BUDGET] / (alike + 1);
    }
    if (points >= settings[HOT_FROM] || (before == HOT && points >= settings[HOT_LEAVE])) {
        grade = HOT;
    } else if (points >= settings[WARM_FROM] || (before >= WARM && points >= settings[WARM_LEAVE])) {
        grade = WARM;
    }
    if (grade == before && grade == *its) {
        return 0;
    }
    if (grade == HOT || *its == HOT) {
        return 1;
    }
    *by_points = grade;
    if (grade == *its) {
        return 0;
    }
    *its = grade;
    return set_warm(self, session, row, grade == WARM);
}

/* Take note of a row that is to be snapshot, and watched. */
static int touch(Taker *self, int64_t row, int64_t now, int64_t number)
{
    const int64_t *settings = RULE(int64_t, SETTINGS);
    uint32_t bucket, *its = COLUMN(uint32_t, BUCKET) + row;
    PyObject *key, *value;
    int result = 0;

    if (self->touched == Py_None) {
        return 0;
    }
    bucket = (uint32_t)(1 + (now / settings[EVERY_MS] & settings[BUCKETS])); /* times are not negative */
    if (*its == bucket && self->active == Py_None) {
        return 0;
    }
    key = PyLong_FromLongLong(row);
    if (key == NULL) {
        return -1;
    }
    if (*its != bucket) {
        *its = bucket;
        value = PyLong_FromLongLong(number);
        result = value == NULL ? -1 : PyDict_SetItem(self->touched, key, value);
        Py_XDECREF(value);
    }
    if (result == 0 && self->active != Py_None) {
        result = PySet_Add(self->active, key);
    }
    Py_DECREF(key);
    return result;
}

/* What one event that is not apart changes in its viewer's row; whether Python is to grade it, or -1. */
static int take_one(Taker *self, PyObject *session, int64_t row, Py_ssize_t i, Py_ssize_t events, int64_t number)
{
    const int64_t *settings = RULE(int64_t, SETTINGS);
    int64_t bits = EVENT(int64_t, BITS)[i], sign = EVENT(int64_t, SIGN)[i];
    Py_ssize_t width = self->rules[POINTS].len / 8, columns = self->rules[SPAN_OF].len / 8;
    const int64_t *feeds = EVENT(int64_t, FEEDS) + sign * self->fed;
    const double *weights = EVENT(double, WEIGHTS) + i;
    float *state = COLUMN(float, FADING) + row * columns;
    double amount = EVENT(double, AMOUNT)[i];

    if (EVENT(int8_t, IS_FAN) != NULL && EVENT(int8_t, IS_FAN)[i] >= 0) {
        COLUMN(uint8_t, FAN_BEFORE)[row] = COLUMN(uint8_t, FAN)[row];
        COLUMN(uint8_t, FAN)[row] = (uint8_t)EVENT(int8_t, IS_FAN)[i];
    }
    watch(self, row, EVENT(int64_t, AT)[i], (bits & settings[IS_ENTER]) != 0);
    hit(self, row, EVENT(int64_t, HITS) + sign * width);
    if (bits & settings[IS_QUESTION]) {
        for (int intent = 0; intent < INTENTS; intent++) {
            uint16_t *asked = COLUMN(uint16_t, INTENT_COLUMNS + intent) + row;

            if ((EVENT(int64_t, FACTS)[i] & RULE(int64_t, MASKS)[intent]) && *asked < settings[INTENT_BOUND]) {
                (*asked)++;
            }
        }
    }
    for (Py_ssize_t place = 0; place < self->fed && feeds[place] >= 0; place++) {
        if (feeds[place] >= columns) {
            PyErr_SetString(PyExc_ValueError, "no such column");
            return -1;
        }
        state[feeds[place]] += (float)(amount * weights[RULE(int64_t, SPAN_OF)[feeds[place]] * events]);
    }
    if (touch(self, row, EVENT(int64_t, NOW)[i], number) < 0) {
        return -1;
    }
    return COLUMN(uint8_t, STAFF)[row] ? 0 : regrade(self, session, row);
}

/* Have the processor fetch what an event that comes soon will change. */
static inline void fetch(const Taker *self, int64_t row, int64_t rows)
{
    Py_ssize_t width = self->rules[POINTS].len / 8, columns = self->rules[SPAN_OF].len / 8;

    if (row < 0 || row >= rows) {
        return;
    }
    __builtin_prefetch(COLUMN(int64_t, FIRST_AT) + row);
    __builtin_prefetch(COLUMN(int64_t, LAST_AT) + row);
    __builtin_prefetch(COLUMN(int64_t, ENTERED_AT) + row);
    __builtin_prefetch(COLUMN(int32_t, RAW) + row);
    __builtin_prefetch(COLUMN(uint32_t, BUCKET) + row);
    __builtin_prefetch(COLUMN(uint16_t, COUNTS) + row * width);
    for (Py_ssize_t place = 0; place < columns; place += LINE / (Py_ssize_t)sizeof(float)) {
        __builtin_prefetch(COLUMN(float, FADING) + row * columns + place);
    }
}

/* take(start, end, events) -> 4 * position + why

   Takes the events from `start` on; `events` were applied before this frame. Of the event at the position that is returned the
   session has taken note; APART: nothing else was done; REGRADE: all but grading; DONE: it is `end`. */
static PyObject *Taker_take(Taker *self, PyObject *const *args, Py_ssize_t given)
{
    Py_ssize_t start, end, events, i;
    int64_t rows, applied;
    const int64_t *settings = RULE(int64_t, SETTINGS);
    Present now = {0};
    int why = DONE;

    if (given != 3) {
        PyErr_SetString(PyExc_TypeError, "three numbers are wanted");
        return NULL;
    }
    start = PyLong_AsSsize_t(args[0]);
    end = PyLong_AsSsize_t(args[1]);
    applied = PyLong_AsLongLong(args[2]);
    if (PyErr_Occurred()) {
        return NULL;
    }
    events = self->frame[AT].len / 8;
    if (!self->bound || !self->of_frame || !self->of_part || start < 0 || end > events) {
        PyErr_SetString(PyExc_ValueError, "not bound, or not so many events");
        return NULL;
    }
    rows = self->columns[FIRST_AT].len / 8;
    for (i = start; i < end; i++) {
        if (i + AHEAD < end) {
            fetch(self, EVENT(int64_t, ROW)[i + AHEAD], rows);
        }
        int64_t bits = EVENT(int64_t, BITS)[i], which = ((const int64_t *)self->which.buf)[i];
        int64_t row = EVENT(int64_t, ROW)[i], at = EVENT(int64_t, AT)[i];
        PyObject *session;
        int found;

        if (bits & settings[IS_SILENT]) {
            continue;
        }
        if (which < 0 || which >= PyList_GET_SIZE(self->sessions) || row >= rows || EVENT(int64_t, SIGN)[i] < 0 ||
            EVENT(int64_t, SIGN)[i] >= self->signs) {
            PyErr_SetString(PyExc_ValueError, "no such session, row or sign");
            goto fail;
        }
        session = PyList_GET_ITEM(self->sessions, which);
        if (session != now.session && (leave_session(self, &now) < 0 || enter_session(self, &now, session) < 0)) {
            goto fail;
        }
        if (at > now.last_at) {
            now.last_at = at;
        }
        now.rate += EVENT(double, WEIGHTS)[i];
        if (row < 0) {
            continue;
        }
        if ((bits & settings[IS_APART]) || (EVENT(int8_t, IS_STAFF) != NULL && EVENT(int8_t, IS_STAFF)[i] > 0) ||
            ((bits & settings[IS_ENTER]) && COLUMN(int64_t, LEFT_AT)[row] > 0)) {
            why = APART;
            break;
        }
        found = take_one(self, session, row, i, events, applied + i);
        if (found < 0) {
            goto fail;
        }
        if (found) {
            why = REGRADE;
            break;
        }
    }
    if (leave_session(self, &now) < 0) {
        return NULL;
    }
    return PyLong_FromSsize_t(4 * i + why);
fail:
    return NULL;
}

static PyMethodDef Taker_methods[] = {
    {"bind", (PyCFunction)Taker_bind, METH_O, NULL},
    {"of_frame", (PyCFunction)Taker_of_frame, METH_O, NULL},
    {"of_part", (PyCFunction)Taker_of_part, METH_VARARGS, NULL},
    {"take", (PyCFunction)(void (*)(void))Taker_take, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot Taker_slots[] = {
    {Py_tp_init, Taker_init},
    {Py_tp_dealloc, Taker_dealloc},
    {Py_tp_methods, Taker_methods},
    {0, NULL},
};

static PyType_Spec Taker_spec = {
    .name = "frontrow_kernel.Taker",
    .basicsize = sizeof(Taker),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = Taker_slots,
};

int add_taking(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&Taker_spec);
    int result;

    if (type == NULL) {
        return -1;
    }
    result = PyModule_AddObjectRef(module, "Taker", type);
    Py_DECREF(type);
    return result;
}
