package wasmer

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// cliWrites hands on what is written, piece by piece.
type cliWrites chan string

func (w cliWrites) Write(data []byte) (int, error) {
	w <- string(data)
	return len(data), nil
}

func TestCLIProgressIsALineThatGoesAway(t *testing.T) {
	for name, end := range map[string]func(*cliProgress, context.CancelFunc){
		"at the end":                 func(p *cliProgress, _ context.CancelFunc) { p.stop() },
		"when the context has ended": func(_ *cliProgress, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			shown := make(cliWrites)
			p := &cliProgress{out: shown, label: "compiling a.wasm with cranelift", interval: time.Millisecond}
			p.start(ctx)
			for range 3 {
				require.Equal(t, "\rcompiling a.wasm with cranelift ... 0s", <-shown)
			}
			go end(p, cancel)
			last := <-shown
			for strings.HasSuffix(last, "s") {
				last = <-shown
			}
			require.Equal(t, "\r\x1b[K", last)
			<-p.gone
		})
	}
}

func TestCLIProgressOfShortWorkIsNotShown(t *testing.T) {
	var shown bytes.Buffer
	p := &cliProgress{out: &shown, label: "compiling", interval: time.Hour}
	p.start(context.Background())
	p.stop()
	require.Empty(t, shown.String())
}

func TestCLIProgressIsForTerminals(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/file")
	require.NoError(t, err)
	defer file.Close()
	reader, writer, err := os.Pipe()
	require.NoError(t, err)
	defer reader.Close()
	defer writer.Close()
	require.Nil(t, startCLIProgress(context.Background(), file, ""))
	require.Nil(t, startCLIProgress(context.Background(), writer, ""))
	require.Nil(t, startCLIProgress(context.Background(), &bytes.Buffer{}, ""))
	startCLIProgress(context.Background(), file, "").stop() // does nothing

	device, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer device.Close()
	p := startCLIProgress(context.Background(), device, "")
	require.NotNil(t, p, "a character device stands for a terminal")
	p.stop()
}
