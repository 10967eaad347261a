package benchmarks

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// stepSize is how much the guests that copy read and write at once.
const stepSize = 64 << 10

// sizes are how much there is to do.
type sizes struct {
	copied         int64 // bytes
	listed, joined int   // files
}

// A job is a command that works on files of a folder, and leaves what it makes in the file "target" there.
type job struct {
	name string
	args []string
	// stdin names a file; nothing if it is empty.
	stdin string
	// opensTarget says that the command opens the target itself; else it is its standard output.
	opensTarget bool
	// arrange makes the files that the job needs, and wanted names the one that the target must equal.
	arrange func(folder string) error
	wanted  string
	// amount is the size of the job: bytes that are copied, or files.
	amount int64
	// native does the same in Go, in the same steps; nil where nothing is compared with it.
	native func(w world) error
}

func jobs(s sizes) []job {
	source := func(folder string) error { return writeSource(filepath.Join(folder, "source"), s.copied) }
	small := make([]string, s.joined)
	for i := range small {
		small[i] = fmt.Sprintf("/small/%04d", i)
	}
	return []job{
		{
			name: "copyfile", args: []string{"/source", "/target"}, opensTarget: true,
			arrange: source, wanted: "source", amount: s.copied, native: copyFile,
		},
		{
			name: "echo", stdin: "source", arrange: source, wanted: "source",
			amount: s.copied, native: func(w world) error { return copyInSteps(w.stdout, w.stdin) },
		},
		{
			name: "ls", args: []string{"/many"}, wanted: "listing", amount: int64(s.listed),
			arrange: func(folder string) error { return writeMany(folder, s.listed) },
		},
		{
			name: "cat", args: small, wanted: "joined", amount: int64(s.joined),
			arrange: func(folder string) error { return writeSmall(folder, small) },
		},
	}
}

// readCommand loads a guest, which has the name of its job.
func readCommand(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join("..", "testdata", "wasi", name+".wasm"))
}

// prepare arranges, and copies once what is to be copied: the first to do so pays for memory that nothing had before.
func (j job) prepare(folder string) error {
	if err := j.arrange(folder); err != nil || j.native == nil {
		return err
	}
	w, err := j.open(folder)
	if err != nil {
		return err
	}
	return errors.Join(j.native(w), j.finish(w))
}

// open makes the world of one run.
func (j job) open(folder string) (w world, err error) {
	w = world{args: append([]string{j.name}, j.args...), folder: folder}
	if j.stdin != "" {
		if w.stdin, err = os.Open(filepath.Join(folder, j.stdin)); err != nil {
			return w, err
		}
	}
	if !j.opensTarget {
		w.stdout, err = os.Create(filepath.Join(folder, "target"))
	}
	return w, err
}

// finish checks what a run has made, and takes it away.
func (j job) finish(w world) error {
	var err error
	if w.stdin != nil {
		err = w.stdin.Close()
	}
	if file, ok := w.stdout.(*os.File); ok {
		err = errors.Join(err, file.Close())
	}
	target := filepath.Join(w.folder, "target")
	return errors.Join(err, sameContents(filepath.Join(w.folder, j.wanted), target), os.Remove(target))
}

func copyFile(w world) error {
	from, err := os.Open(filepath.Join(w.folder, "source"))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.Create(filepath.Join(w.folder, "target"))
	if err != nil {
		return err
	}
	return errors.Join(copyInSteps(to, from), to.Close())
}

// copyInSteps is no io.Copy, which would leave the copying of files to the kernel.
func copyInSteps(to io.Writer, from io.Reader) error {
	buffer := make([]byte, stepSize)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func sameContents(a, b string) error {
	x, err := os.Open(a)
	if err != nil {
		return err
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return err
	}
	defer y.Close()
	ofX, ofY := make([]byte, stepSize), make([]byte, stepSize)
	for {
		n, errX := io.ReadFull(x, ofX)
		m, errY := io.ReadFull(y, ofY)
		if !bytes.Equal(ofX[:n], ofY[:m]) {
			return fmt.Errorf("%s is not like %s", b, a)
		}
		if errX != nil || errY != nil {
			return unlessAtEnd(errors.Join(errX, errY))
		}
	}
}

func unlessAtEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// writeSource makes a file of noise, unless it is there already.
func writeSource(name string, size int64) error {
	if info, err := os.Stat(name); err == nil && info.Size() == size {
		return nil
	}
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = io.CopyN(file, rand.NewChaCha8([32]byte{}), size)
	return errors.Join(err, file.Close())
}

// writeMany makes a folder of empty files, and what ls tells about them.
func writeMany(folder string, n int) error {
	var listing strings.Builder
	if err := os.MkdirAll(filepath.Join(folder, "many"), 0o755); err != nil {
		return err
	}
	for i := range n {
		name := fmt.Sprintf("many/%05d", i)
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&listing, "f 0 /%s\n", name)
	}
	return os.WriteFile(filepath.Join(folder, "listing"), []byte(listing.String()), 0o644)
}

// writeSmall makes files of some bytes, and one of all of them in a row.
func writeSmall(folder string, names []string) error {
	if err := os.MkdirAll(filepath.Join(folder, "small"), 0o755); err != nil {
		return err
	}
	var joined bytes.Buffer
	for _, name := range names {
		text := strings.Repeat(name+"\n", 10)
		joined.WriteString(text)
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "joined"), joined.Bytes(), 0o644)
}
