/** The page's first lines: language, styles, elements. */

import "./styles.css";
import { startLanguage } from "./i18n";
import "./elements/app";

startLanguage();
