package benchmarks

import (
	"crypto/sha256"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/wasmerio/go-ext-wasm/benchmarks/internal/cgo"
)

// A nativeCompiler is a C compiler of this machine: what it makes of a program's source is the program's measure.
type nativeCompiler struct{ name, command string }

// nativeCompilers are those that can build the program: the system's, and clang, which made the guests too.
func nativeCompilers(p program) (found []nativeCompiler) {
	if p.native == "" {
		return nil
	}
	for _, c := range []nativeCompiler{{"native-cc", "cc"}, {"native-clang", "clang"}} {
		if _, err := exec.LookPath(c.command); err == nil {
			found = append(found, c)
		}
	}
	return found
}

// build compiles the program for this machine with the flags that the guests are compiled with. Both have vectors of 128
// bits or none: the processor is the least of its architecture, and a program without SIMD is not vectorized here either.
func (c nativeCompiler) build(tb testing.TB, p program) function {
	tb.Helper()
	testdata, err := filepath.Abs("../testdata")
	if err != nil {
		tb.Fatal(err)
	}
	flags, err := os.ReadFile(filepath.Join(testdata, "compute", "flags"))
	if err != nil {
		tb.Fatal(err)
	}
	library := filepath.Join(tb.TempDir(), p.name+".so")
	args := strings.Fields(string(flags))
	if !p.simd {
		args = append(args, "-fno-tree-vectorize", "-fno-tree-slp-vectorize")
	}
	// The attributes of guests are nothing to warn of.
	args = append(args, "-w", "-shared", "-fPIC", "-I", testdata, "-o", library, "-x", "c", "-")
	build := exec.Command(c.command, args...)
	build.Stdin = strings.NewReader(p.native)
	if printed, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("%v: %v\n%s", build, err, printed)
	}
	run, err := cgo.Open(library, "run")
	if err != nil {
		tb.Fatal(err)
	}
	return func(args ...int32) (uint64, error) {
		size := uint32(0)
		if len(args) > 0 {
			size = uint32(args[0])
		}
		return run(size), nil
	}
}

// TestComputations compares with what others say about the same algorithms.
func TestComputations(t *testing.T) {
	const blocks, offset, prime = 3, 0xcbf29ce484222325, 0x100000001b3
	var data []byte
	state := uint32(1)
	for range 1024 {
		state ^= state << 13
		state ^= state >> 17
		state ^= state << 5
		data = append(data, byte(state))
	}
	digest := sha256.New()
	for range blocks {
		digest.Write(data)
	}
	hash := uint64(offset)
	for sum := digest.Sum(nil); len(sum) > 0; sum = sum[4:] {
		word := uint64(sum[0])<<24 | uint64(sum[1])<<16 | uint64(sum[2])<<8 | uint64(sum[3])
		hash = (hash ^ word) * prime
	}
	for _, c := range []struct {
		name string
		size int32
		want func(uint64) bool
	}{
		{"sha256", blocks, func(sum uint64) bool { return sum == hash }},
		{"fannkuch", 7, func(sum uint64) bool { return sum == 16<<48^228 }},
		{"spectral", 100, func(norm uint64) bool { return math.Abs(math.Float64frombits(norm)-1.274219991) < 1e-9 }},
	} {
		for _, p := range computations {
			if strings.TrimSuffix(p.name, "_simd") != c.name {
				continue
			}
			eachRival(t, able(p), p.name, func(t *testing.T, r rival) {
				result, err := export(t, load(t, r, nil, readProgram(t, p)), p.export)(c.size)
				if err != nil {
					t.Fatal(err)
				}
				if !c.want(result) {
					t.Errorf("%s(%d) is %#x", p.name, c.size, result)
				}
			})
		}
	}
}
