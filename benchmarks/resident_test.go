package benchmarks

import (
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// idle is the number of instances that live at once.
const idle = 500

// A rest is what idle instances are made of, and the export that they were called by once.
type rest struct {
	name string
	wasm func(testing.TB) []byte
	call string
}

var residents = []rest{
	{"plain", text(parametersGuest(0)), "add"},
	{"one_page", text(memoryGuest), "f"},
	{"data_1MiB", func(tb testing.TB) []byte { return dataGuest(tb, 1<<20) }, ""},
}

// BenchmarkResident measures what memory the process has more for each idle instance that has been called once. A process of
// its own for each, so that nobody finds free memory that others have left.
func BenchmarkResident(b *testing.B) {
	if _, err := resident(); err != nil {
		b.Skip(err)
	}
	for _, row := range residents {
		against(b, compilers(), row.name, func(b *testing.B, r rival) {
			total, rounds := 0.0, 0
			for b.Loop() {
				bytes, err := inProcess(r.name, row.name)
				if err != nil {
					b.Fatal(err)
				}
				total += bytes
				rounds++
			}
			b.ReportMetric(total/float64(rounds)/idle, "bytes/instance")
		})
	}
}

const residentVariable = "WASMER_GO_RESIDENT"

// inProcess runs TestResidentProcess in a process.
func inProcess(rival, row string) (bytes float64, err error) {
	binary, err := os.Executable()
	if err != nil {
		return 0, err
	}
	child := exec.Command(binary, "-test.run=^TestResidentProcess$", "-test.count=1")
	child.Env = append(os.Environ(), residentVariable+"="+rival+"/"+row)
	printed, err := child.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, printed)
	}
	for line := range strings.Lines(string(printed)) {
		if number, found := strings.CutPrefix(line, "resident "); found {
			return strconv.ParseFloat(strings.TrimSpace(number), 64)
		}
	}
	return 0, fmt.Errorf("nothing was measured:\n%s", printed)
}

// TestResidentProcess is what a process of BenchmarkResident does.
func TestResidentProcess(t *testing.T) {
	runtime, name, asked := strings.Cut(os.Getenv(residentVariable), "/")
	if !asked {
		t.Skip("is for BenchmarkResident")
	}
	r := rivalOf(t, runtime)
	row := residents[slices.IndexFunc(residents, func(rest rest) bool { return rest.name == name })]
	m := compile(t, open(t, r, nil), row.wasm(t))
	settle := func() {
		i := instantiate(t, m)
		if row.call != "" {
			if _, err := export(t, i, row.call)(); err != nil {
				t.Fatal(err)
			}
		}
	}
	settle() // what the first one brings stays out of it
	before := residentNow(t)
	for range idle {
		settle()
	}
	fmt.Printf("resident %d\n", residentNow(t)-before)
}

func residentNow(t *testing.T) int {
	t.Helper()
	debug.FreeOSMemory()
	bytes, err := resident()
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// resident is the memory that the process has, exactly: other counts lag behind.
func resident() (bytes int, err error) {
	rollup, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(rollup)) {
		if number, found := strings.CutPrefix(line, "Rss:"); found {
			kilobytes, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(number), "kB")))
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("no Rss in %s", rollup)
}

func TestResidentMemoryIsMeasured(t *testing.T) {
	if _, err := resident(); err != nil {
		t.Skip(err)
	}
	before := residentNow(t)
	const size = 64 << 20
	kept := noise(size)
	if more := residentNow(t) - before; more < size*9/10 || more > size*2 {
		t.Error(more)
	}
	if kept[0] == 0 && kept[1] == 0 {
		t.Error("no noise")
	}
	for _, r := range compilers() {
		bytes, err := inProcess(r.name, "one_page")
		if err != nil {
			t.Fatal(err)
		}
		if bytes <= 0 {
			t.Error(r.name, bytes)
		}
	}
}
