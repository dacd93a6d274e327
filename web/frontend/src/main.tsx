// SPDX-License-Identifier: Apache-2.0
import { render } from "preact";
import "./styles/tokens.css";

const root = document.getElementById("app");
if (root) render(<main class="frame" />, root);
