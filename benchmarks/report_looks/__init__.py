"""Reports of five unlike studies, drawn, opened in a browser, photographed and measured."""
