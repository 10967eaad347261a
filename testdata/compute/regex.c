// Searches a text of size KiB, up to 1024, for regular expressions. An expression becomes a program of states, and all
// states that the text can lead to are followed at once, so that no expression takes more than linear time (K. Thompson,
// Regular expression search algorithm, 1968).
#include "compute.h"

#define TEXT (1u << 20)
#define STATES 256

enum op { SET, SPLIT, JUMP, MATCH };

struct state {
	enum op op;
	uint32_t to, other; // SPLIT, JUMP
	uint32_t set[8];    // SET: bytes that lead to the next state
};

static char text[TEXT];
static struct state program[STATES];
static uint32_t states;

// Where the compiler is in the expression.
static const char *at;

static void include(struct state *s, uint32_t byte)
{
	s->set[byte >> 5] |= 1u << (byte & 31);
}

static struct state *emit(enum op op)
{
	struct state *s = &program[states++];
	s->op = op;
	s->to = s->other = 0;
	for (int i = 0; i < 8; i++)
		s->set[i] = 0;
	return s;
}

// Makes room for a state before those from index on, which may lead to each other.
static void insert(uint32_t index)
{
	emit(JUMP);
	for (uint32_t i = states - 1; i > index; i--) {
		program[i] = program[i - 1];
		if (program[i].op == SPLIT || program[i].op == JUMP) {
			program[i].to += program[i].to >= index;
			program[i].other += program[i].other >= index;
		}
	}
}

static void alternatives(void);

static void byte_class(void)
{
	struct state *s = emit(SET);
	int negated = *at == '^';
	at += negated;
	while (*at != ']') {
		uint32_t low = (unsigned char)*at++, high = low;
		if (*at == '-' && at[1] != ']') {
			high = (unsigned char)at[1];
			at += 2;
		}
		for (; low <= high; low++)
			include(s, low);
	}
	at++;
	if (negated)
		for (int i = 0; i < 8; i++)
			s->set[i] = ~s->set[i];
}

static void repeated(void)
{
	uint32_t start = states;
	if (*at == '(') {
		at++;
		alternatives();
		at++;
	} else if (*at == '[') {
		at++;
		byte_class();
	} else if (*at == '.') {
		at++;
		struct state *s = emit(SET);
		for (uint32_t byte = 0; byte < 256; byte++)
			if (byte != '\n')
				include(s, byte);
	} else {
		include(emit(SET), (unsigned char)*at++);
	}
	if (*at == '+') {
		struct state *s = emit(SPLIT);
		s->to = start;
		s->other = states;
	} else if (*at == '*') {
		insert(start);
		emit(JUMP)->to = start;
		program[start] = (struct state){ SPLIT, start + 1, states, { 0 } };
	} else if (*at == '?') {
		insert(start);
		program[start] = (struct state){ SPLIT, start + 1, states, { 0 } };
	} else {
		return;
	}
	at++;
}

static void alternatives(void)
{
	uint32_t start = states;
	while (*at && *at != '|' && *at != ')')
		repeated();
	if (*at != '|')
		return;
	at++;
	insert(start);
	uint32_t over = states;
	emit(JUMP);
	program[start] = (struct state){ SPLIT, start + 1, states, { 0 } };
	alternatives();
	program[over].to = states;
}

// States that the text can be in. mark tells at which byte a state was last added.
struct list {
	uint32_t count, state[STATES];
};
static struct list lists[2];
static uint32_t mark[STATES];

static void add(struct list *l, uint32_t s, uint32_t now)
{
	while (mark[s] != now) {
		mark[s] = now;
		if (program[s].op == SPLIT) {
			add(l, program[s].to, now);
			s = program[s].other;
		} else if (program[s].op == JUMP) {
			s = program[s].to;
		} else {
			l->state[l->count++] = s;
			return;
		}
	}
}

// Sums up where matches end.
static uint64_t search(uint64_t sum, const char *expression, uint32_t length)
{
	states = 0;
	at = expression;
	alternatives();
	emit(MATCH);
	for (uint32_t i = 0; i < states; i++)
		mark[i] = 0;
	struct list *now = &lists[0], *then = &lists[1];
	now->count = 0;
	for (uint32_t i = 0; i <= length; i++) {
		add(now, 0, i + 1); // a match may begin anywhere
		uint32_t byte = i < length ? (unsigned char)text[i] : 0;
		then->count = 0;
		for (uint32_t k = 0; k < now->count; k++) {
			const struct state *s = &program[now->state[k]];
			if (s->op == MATCH)
				sum = checksum(sum, i);
			else if (s->set[byte >> 5] >> (byte & 31) & 1)
				add(then, now->state[k] + 1, i + 2);
		}
		struct list *other = now;
		now = then;
		then = other;
	}
	return sum;
}

RUN
{
	static const char *const words[] = {
		"wasm", "module", "table", "memory", "import", "export", "trap", "stack", "call", "host", "guest", "page",
	};
	static const char *const expressions[] = {
		"(mod|tab)u?le",
		"[a-z]+@[a-z]+.(trap|page)",
		"[0-9][0-9]?:[0-9][0-9]",
		"(a|b|c)*call (host|guest)+",
		"[^ \n]*[0-9]+[^ \n]* trap",
		"(im|ex)port .*memory",
	};
	uint32_t length = (size < 1024 ? size : 1024) << 10, state = 1, n = 0;
	while (n < length) {
		uint32_t draw = next(&state);
		for (const char *w = words[draw % 12]; *w && n < length; w++)
			text[n++] = *w;
		char digits[] = { (char)('0' + (draw >> 8) % 10), ':', (char)('0' + (draw >> 12) % 10), (char)('0' + (draw >> 16) % 10) };
		if (draw >> 28 == 1)
			for (int i = 0; i < 4 && n < length; i++)
				text[n++] = digits[i];
		else if (draw >> 28 == 2 && n < length)
			text[n++] = '@';
		if (n < length)
			text[n++] = draw >> 28 == 3 ? '\n' : draw >> 28 == 2 ? 'x' : ' ';
	}
	uint64_t sum = CHECKSUM_START;
	for (uint32_t i = 0; i < sizeof expressions / sizeof *expressions; i++)
		sum = search(sum, expressions[i], length);
	return sum;
}
