// The n-body problem of the Benchmarks Game: five bodies, steps of 0.01 days.
#include "../guest.h"

#define BODIES 5
#define PI 3.141592653589793
#define SOLAR_MASS (4 * PI * PI)
#define YEAR 365.24

struct body {
	double x, y, z, vx, vy, vz, mass;
};

static const struct body initial[BODIES] = {
	{ 0, 0, 0, 0, 0, 0, SOLAR_MASS },
	{ 4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01,
	  1.66007664274403694e-03 * YEAR, 7.69901118419740425e-03 * YEAR,
	  -6.90460016972063023e-05 * YEAR, 9.54791938424326609e-04 * SOLAR_MASS },
	{ 8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01,
	  -2.76742510726862411e-03 * YEAR, 4.99852801234917238e-03 * YEAR,
	  2.30417297573763929e-05 * YEAR, 2.85885980666130812e-04 * SOLAR_MASS },
	{ 1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01,
	  2.96460137564761618e-03 * YEAR, 2.37847173959480950e-03 * YEAR,
	  -2.96589568540237556e-05 * YEAR, 4.36624404335156298e-05 * SOLAR_MASS },
	{ 1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01,
	  2.68067772490389322e-03 * YEAR, 1.62824170038242295e-03 * YEAR,
	  -9.51592254519715870e-05 * YEAR, 5.15138902046611451e-05 * SOLAR_MASS },
};

// A sun that moves against the planets keeps the centre of mass at rest.
static void offset_momentum(struct body *b)
{
	double px = 0, py = 0, pz = 0;
	for (int i = 0; i < BODIES; i++) {
		px += b[i].vx * b[i].mass;
		py += b[i].vy * b[i].mass;
		pz += b[i].vz * b[i].mass;
	}
	b[0].vx = -px / SOLAR_MASS;
	b[0].vy = -py / SOLAR_MASS;
	b[0].vz = -pz / SOLAR_MASS;
}

static void advance(struct body *b, double dt)
{
	for (int i = 0; i < BODIES; i++) {
		for (int j = i + 1; j < BODIES; j++) {
			double dx = b[i].x - b[j].x;
			double dy = b[i].y - b[j].y;
			double dz = b[i].z - b[j].z;
			double d2 = dx * dx + dy * dy + dz * dz;
			double mag = dt / (d2 * __builtin_sqrt(d2));
			double mi = b[i].mass * mag, mj = b[j].mass * mag;
			b[i].vx -= dx * mj;
			b[i].vy -= dy * mj;
			b[i].vz -= dz * mj;
			b[j].vx += dx * mi;
			b[j].vy += dy * mi;
			b[j].vz += dz * mi;
		}
		b[i].x += dt * b[i].vx;
		b[i].y += dt * b[i].vy;
		b[i].z += dt * b[i].vz;
	}
}

static double energy(const struct body *b)
{
	double e = 0;
	for (int i = 0; i < BODIES; i++) {
		e += b[i].mass *
		     (b[i].vx * b[i].vx + b[i].vy * b[i].vy + b[i].vz * b[i].vz) * 0.5;
		for (int j = i + 1; j < BODIES; j++) {
			double dx = b[i].x - b[j].x;
			double dy = b[i].y - b[j].y;
			double dz = b[i].z - b[j].z;
			e -= b[i].mass * b[j].mass / __builtin_sqrt(dx * dx + dy * dy + dz * dz);
		}
	}
	return e;
}

// Not called main in C: the compiler gives that name a signature of its own.
EXPORT("main") double nbody(int32_t steps)
{
	// A copy for each call: a benchmark must not depend on the calls before.
	struct body b[BODIES];
	copy_bytes(b, initial, sizeof b);
	offset_momentum(b);
	for (int32_t i = 0; i < steps; i++)
		advance(b, 0.01);
	return energy(b);
}
